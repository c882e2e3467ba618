"""Modulated convolution (Karras et al. 2020, section 2.2): each sample scales the input channels by its style."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman_stylegan2.filters import resampled_conv2d

__all__ = ["modulated_conv2d"]

_EPSILON = 1e-8


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    kernel: Tensor,
    *,
    demodulate: bool = True,
    up: bool = False,
    grouped: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Convolve each sample with ``w'[o, i] = d[o] s[i] w[o, i]``, where ``d`` makes the norm of each output's w' one.

    Args:
        x: ``[B, I, H, W]``.
        weight: ``[O, I, k, k]``.
        styles: s, ``[B, I]``.
        kernel: low-pass filter of :func:`~dragoman_stylegan2.filters.resampled_conv2d`.
        demodulate: whether there is a d.
        up: twice the height and width.
        grouped: one grouped convolution with a weight for each sample, instead of scaling the maps before and behind
            one shared convolution. The same numbers up to rounding.
        gain: factor of the result, together with ``demodulate``.

    Returns:
        ``[B, O, H', W']`` in the dtype of ``x``.
    """
    styles, weight = styles.to(_at_least_float(x)), weight.to(_at_least_float(x))
    if demodulate and x.dtype == torch.float16:
        weight, styles = _tamed(weight, styles)
    norm = _demodulation(weight, styles) * gain if demodulate else None
    if grouped:
        return _grouped(x, weight, styles, norm, kernel, up)
    scaled = x * styles.to(x.dtype)[:, :, None, None]
    out = resampled_conv2d(scaled, weight.to(x.dtype), kernel, up=up)
    return out if norm is None else out * norm.to(x.dtype)[:, :, None, None]


def _at_least_float(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _tamed(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Both at most 1, so that half precision does not overflow; demodulation undoes it (arXiv:2006.06676, app. D.1)."""
    fan_in = weight[0].numel()
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    return weight / (largest * fan_in**0.5), styles / styles.abs().amax(dim=1, keepdim=True)


def _demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """d, ``[B, O]``."""
    return (styles.square() @ weight.square().sum(dim=(2, 3)).T + _EPSILON).rsqrt()


def _grouped(x: Tensor, weight: Tensor, styles: Tensor, norm: Tensor | None, kernel: Tensor, up: bool) -> Tensor:
    weights = weight * styles[:, None, :, None, None]
    if norm is not None:
        weights = weights * norm[:, :, None, None, None]
    out = resampled_conv2d(x.flatten(0, 1)[None], weights.flatten(0, 1).to(x.dtype), kernel, up=up, groups=len(x))
    separated: Tensor = out[0].unflatten(0, (len(x), -1))
    return separated
