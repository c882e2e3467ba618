"""Spectral normalisation by stored singular vectors: tensors ``weight_orig``, ``weight_u`` and ``weight_v``.

That is the layout of ``torch.nn.utils.spectral_norm``. Without training, the spectral norm of a weight W is
``u . (W v)`` with the vectors as they are stored (Miyato et al. 2018, arXiv:1802.05957, algorithm 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FixedSpectralConv2d", "FixedSpectralLinear"]


class _FixedSpectral(nn.Module):
    """A weight and its leading singular vectors; they hold nothing until a checkpoint is loaded."""

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, shape: tuple[int, ...], *, bias: bool) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0])) if bias else None
        self.register_buffer("weight_u", torch.empty(shape[0]))
        self.register_buffer("weight_v", torch.empty(math.prod(shape[1:])))

    def sigma(self) -> Tensor:
        """The spectral norm, a scalar; half precision is summed in float32."""
        dtype = torch.promote_types(self.weight_orig.dtype, torch.float32)
        stretched = self.weight_orig.flatten(1).to(dtype) @ self.weight_v.to(dtype)
        return self.weight_u.to(dtype) @ stretched


class FixedSpectralConv2d(_FixedSpectral):
    """Convolution of odd kernel size that keeps the map's size."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True) -> None:
        super().__init__((out_channels, in_channels, kernel_size, kernel_size), bias=bias)
        self.padding = kernel_size // 2

    def forward(self, x: Tensor, outputs: int | None = None) -> Tensor:
        """``[B, in, H, W]`` to the first ``outputs`` channels (all when omitted) of ``[B, out, H, W]``."""
        weight = self.weight_orig[:outputs] / self.sigma().to(self.weight_orig.dtype)
        bias = None if self.bias is None else self.bias[:outputs]
        return F.conv2d(x, weight, bias, padding=self.padding)


class FixedSpectralLinear(_FixedSpectral):
    """Linear map with a spectrally normalised matrix."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__((out_features, in_features), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, in]`` to ``[B, out]``."""
        return F.linear(x, self.weight_orig / self.sigma().to(self.weight_orig.dtype), self.bias)
