"""Resampling against scipy."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, upfirdn

from dragoman_stylegan2.filters import downsample, resample, resampled_conv2d, resampling_filter, upsample

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scipy_resample(image, taps, up, down, pad):
    """The same along one axis after the other; zero padding counts after up."""
    for axis in (0, 1):
        spread = upfirdn([1.0], image, up=up, axis=axis)
        # scipy leaves out the zeros behind the last sample.
        width = [(0, 0), (0, 0)]
        width[axis] = (pad[0], pad[1] + up - 1)
        full = upfirdn(taps, np.pad(spread, width), axis=axis)
        cut = [slice(None), slice(None)]
        cut[axis] = slice(len(taps) - 1, full.shape[axis] - len(taps) + 1, down)
        image = full[tuple(cut)]
    return image


@pytest.mark.parametrize(("up", "down", "pad"), [(1, 1, (0, 0)), (2, 1, (2, 1)), (1, 2, (1, 1)), (3, 2, (4, 0))])
def test_resampling_agrees_with_scipy(up, down, pad):
    taps = np.array([0.1, 0.7, -0.4, 0.3])  # not symmetric: convolution is not correlation
    x = draw(2, 3, 6, 5)
    found = resample(x, torch.tensor(np.outer(taps, taps)), up=up, down=down, pad=pad, gain=2.0)
    for sample in range(2):
        for channel in range(3):
            expected = 2 * scipy_resample(x[sample, channel].numpy(), taps, up, down, pad)
            np.testing.assert_allclose(found[sample, channel].numpy(), expected, atol=1e-12)


def test_the_filter_is_the_published_one():
    np.testing.assert_allclose(resampling_filter().numpy(), np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64, rtol=1e-6)


def test_up_and_down_keep_the_mean_and_the_place():
    kernel = resampling_filter().double()
    flat = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    for resized, size in ((upsample(flat, kernel), 16), (downsample(flat, kernel), 4)):
        assert resized.shape == (1, 1, size, size)
        torch.testing.assert_close(resized[..., 2:-2, 2:-2], torch.ones_like(resized[..., 2:-2, 2:-2]))
    # A ramp stays a ramp of pixel centres: nothing is shifted by half a pixel.
    ramp = torch.arange(8.0, dtype=torch.float64).expand(1, 1, 8, 8)
    centres = (torch.arange(16.0, dtype=torch.float64) + 0.5) / 2 - 0.5
    torch.testing.assert_close(upsample(ramp, kernel)[0, 0, 8, 2:-2], centres[2:-2])


def plain_conv(x, weight, up, down, flip):
    """By definition: insert zeros, pad, filter, convolve, keep every second, for one sample."""
    reach = weight.shape[-1] // 2
    first = reach + (2 if up else 1 if down else 0)
    last = reach + (1 if up or down else 0)
    out = []
    for kernels in weight:
        total = 0
        for plane, kernel in zip(x, kernels, strict=True):
            if up:
                spread = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
                spread[::2, ::2] = plane
                plane = spread
            plane = np.pad(plane, (first, last))
            if up or down:
                plane = convolve2d(plane, np.outer(TAPS, TAPS) * (4 if up else 1), mode="valid")
            total = total + convolve2d(plane, kernel[::-1, ::-1] if flip else kernel, mode="valid")
        out.append(total[::2, ::2] if down else total)
    return np.stack(out)


@pytest.mark.parametrize(
    ("up", "down", "size"),
    [(False, False, 1), (False, False, 3), (True, False, 3), (False, True, 1), (False, True, 3)],
)
def test_convolution_agrees_with_its_definition(up, down, size):
    x, weight = draw(2, 3, 6, 6), draw(4, 3, size, size, seed=1)
    found = resampled_conv2d(x, weight, resampling_filter().double(), up=up, down=down)
    for sample in range(2):
        expected = plain_conv(x[sample].numpy(), weight.numpy(), up, down, flip=not up)
        np.testing.assert_allclose(found[sample].numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("up", [False, True])
def test_groups_do_not_mix(up):
    x, weight = draw(1, 6, 5, 5), draw(8, 3, 3, 3, seed=1)
    kernel = resampling_filter().double()
    together = resampled_conv2d(x, weight, kernel, up=up, groups=2)
    apart = [resampled_conv2d(x[:, 3 * i : 3 * i + 3], weight[4 * i : 4 * i + 4], kernel, up=up) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(apart, dim=1))
