"""Resampling of maps with a low-pass filter: insert zeros, pad, filter, keep every so-manieth sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["downsample", "resample", "resampled_conv2d", "resampling_filter", "upsample"]

_TAPS = (1.0, 3.0, 3.0, 1.0)


def resampling_filter() -> Tensor:
    """The published low-pass filter, the outer product of (1, 3, 3, 1) / 8 with itself: ``[4, 4]``, sum 1."""
    taps = torch.tensor(_TAPS)
    return torch.outer(taps, taps) / taps.sum() ** 2


def resample(
    x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0
) -> Tensor:
    """Convolve maps with a filter at a rate of ``up / down``.

    Args:
        x: ``[B, C, H, W]``.
        kernel: ``[k, k]``, the same for each channel; convolved, not correlated.
        up: each sample is followed by ``up - 1`` zeros.
        down: one of so many samples is kept, beginning with the first.
        pad: zeros before and after, in both directions of space, counted after ``up``; not negative.
        gain: factor of the result.

    Returns:
        ``[B, C, H', W']`` with ``H' = (H * up + pad[0] + pad[1] - k) // down + 1``.
    """
    if up > 1:
        batch, channels, height, width = x.shape
        x = F.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1)).reshape(
            batch, channels, height * up, width * up
        )
    x = F.pad(x, (*pad, *pad))
    weight = (kernel.flip(0, 1) * gain).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, weight, stride=down, groups=x.shape[1])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Twice the height and width."""
    size = kernel.shape[-1]
    return resample(x, kernel, up=2, pad=((size + 1) // 2, (size - 2) // 2), gain=4.0)


def downsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Half the height and width."""
    size = kernel.shape[-1]
    return resample(x, kernel, down=2, pad=((size - 1) // 2, (size - 2) // 2))


def resampled_conv2d(
    x: Tensor,
    weight: Tensor,
    kernel: Tensor,
    *,
    bias: Tensor | None = None,
    up: bool = False,
    down: bool = False,
    groups: int = 1,
) -> Tensor:
    """Convolution that keeps, doubles or halves the map, with the low-pass filter where the rate is high.

    Without ``up`` the weight is correlated with the maps, as torch does; with it, it is convolved. Checkpoints depend
    on this.

    Args:
        x: ``[B, groups * I, H, W]``.
        weight: ``[groups * O, I, k, k]`` for odd k.
        kernel: the low-pass filter.
        bias: ``[groups * O]``; there is none with ``up``.
        up: twice the height and width.
        down: half of them.
        groups: groups of channels that do not mix.

    Returns:
        ``[B, groups * O, H', W']``.
    """
    if up:
        assert bias is None
        return _up_conv2d(x, weight, kernel, groups)
    margin = weight.shape[-1] // 2
    if not down:
        return F.conv2d(x, weight, bias, padding=margin, groups=groups)
    if not margin:  # a 1x1 convolution commutes with the filter and is cheaper behind it
        return F.conv2d(downsample(x, kernel), weight, bias, groups=groups)
    size = kernel.shape[-1]
    filtered = resample(x, kernel, pad=(margin + (size - 1) // 2, margin + (size - 2) // 2))
    return F.conv2d(filtered, weight, bias, stride=2, groups=groups)


def _up_conv2d(x: Tensor, weight: Tensor, kernel: Tensor, groups: int) -> Tensor:
    size, reach = kernel.shape[-1], weight.shape[-1]
    spread = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    widened = F.conv_transpose2d(x, spread, stride=2, groups=groups)
    margin = reach // 2
    # What the transposed convolution adds at the edges counts as padding that is already there.
    pad = (margin + (size + 1) // 2 - (reach - 1), margin + (size - 2) // 2 - (reach - 2))
    return resample(widened, kernel, pad=pad, gain=4.0)
