"""Modulated convolution against a loop over samples, and its derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from dragoman_stylegan2.filters import resampled_conv2d, resampling_filter
from dragoman_stylegan2.modulation import modulated_conv2d

KERNEL = resampling_filter().double()


def inputs(dtype=torch.float64, size=4):
    generator = torch.Generator().manual_seed(0)
    x, weight, styles = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((3, 2, size, size), (4, 2, 3, 3), (3, 2))
    )
    return x.to(dtype), weight.to(dtype), (styles + 1).to(dtype)


def loop(x, weight, styles, demodulate, up):
    out = []
    for one, style in zip(x, styles, strict=True):
        modulated = weight * style[None, :, None, None]
        if demodulate:
            norm = torch.stack([(kernel.square().sum() + 1e-8).sqrt() for kernel in modulated])
            modulated = modulated / norm[:, None, None, None]
        out.append(resampled_conv2d(one[None], modulated, KERNEL, up=up))
    return torch.cat(out)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_both_forms_agree_with_a_loop_over_samples(demodulate, up, grouped):
    x, weight, styles = inputs()
    found = modulated_conv2d(x, weight, styles, KERNEL, demodulate=demodulate, up=up, grouped=grouped)
    torch.testing.assert_close(found, loop(x, weight, styles, demodulate, up), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("grouped", [False, True])
def test_samples_do_not_see_each_other(grouped):
    x, weight, styles = inputs()
    together = modulated_conv2d(x, weight, styles, KERNEL, grouped=grouped)
    for row in range(3):
        alone = modulated_conv2d(x[row : row + 1], weight, styles[row : row + 1], KERNEL, grouped=grouped)
        torch.testing.assert_close(alone, together[row : row + 1])


def test_demodulated_maps_of_white_noise_have_unit_variance():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 16, 64, 64, generator=generator)
    weight, styles = torch.randn(8, 16, 3, 3, generator=generator), 5 * torch.rand(2, 16, generator=generator)
    found = modulated_conv2d(x, weight, styles, KERNEL.float())
    torch.testing.assert_close(found[..., 1:-1, 1:-1].std(dim=(2, 3)), torch.ones(2, 8), atol=0.08, rtol=0)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("up", [False, True])
def test_first_and_second_derivatives_are_right(up, grouped):
    def function(x, weight, styles):
        return modulated_conv2d(x, weight, styles, KERNEL, up=up, grouped=grouped)

    arguments = [value[:2].requires_grad_() for value in inputs(size=3)]
    assert gradcheck(function, arguments)
    assert gradgradcheck(function, arguments)


@pytest.mark.parametrize("grouped", [False, True])
def test_half_precision_does_not_overflow_with_large_styles(grouped):
    x, weight, styles = inputs()
    large = styles * 60000
    expected = modulated_conv2d(x, weight, large, KERNEL)
    found = modulated_conv2d(x.half(), weight, large, KERNEL, grouped=grouped)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.double(), expected, atol=0.02, rtol=0.02)
