"""Layers with equalised learning rate: weights are drawn from N(0, 1) and scaled where they are used."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_stylegan2.filters import resampled_conv2d, resampling_filter

__all__ = ["GAIN", "Convolution", "FullyConnected", "activate", "unit_second_moment"]

_SLOPE = 0.2
_EPSILON = 1e-8
#: Factor behind the rectifier. It is positive, so it may as well scale weights and biases, which are smaller than maps.
GAIN = sqrt(2)


def activate(x: Tensor, *, rectify: bool = True, clamp: float | None = None) -> Tensor:
    """Rectify (slope 0.2 below zero) and clamp at ``clamp``; :data:`GAIN` is in what is given.

    Args:
        x: ``[B, C, ...]``.
        rectify: whether there is a leaky rectifier.
        clamp: bound of the result.
    """
    if rectify:
        x = F.leaky_relu(x, _SLOPE)
    return x if clamp is None else x.clamp(-clamp, clamp)


def unit_second_moment(x: Tensor) -> Tensor:
    """``[B, D]`` scaled so that the mean square of each row is 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + _EPSILON).rsqrt()


class FullyConnected(nn.Module):
    """Linear layer, rectified or not, whose weight and bias learn at ``rate`` times the learning rate."""

    def __init__(
        self, inputs: int, outputs: int, *, rectify: bool = True, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.rectify, self.rate = rectify, rate

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs]`` to ``[B, outputs]``."""
        scale = self.rate * (GAIN if self.rectify else 1.0)
        weight = self.weight.to(x.dtype) * (scale / sqrt(self.weight.shape[1]))
        return activate(F.linear(x, weight, self.bias.to(x.dtype) * scale), rectify=self.rectify)


class Convolution(nn.Module):
    """Convolution of the discriminator: rectified or not, optionally halving the map."""

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        bias: bool = True,
        rectify: bool = True,
        down: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", resampling_filter())
        self.rectify, self.down, self.clamp = rectify, down, clamp

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """``[B, inputs, H, W]`` to ``gain`` times ``[B, outputs, H, W]`` or half of it."""
        scale = gain * (GAIN if self.rectify else 1.0)
        weight = (self.weight * (scale / sqrt(self.weight[0].numel()))).to(x.dtype)
        bias = None if self.bias is None else (self.bias * scale).to(x.dtype)
        x = resampled_conv2d(x, weight, self.resample_filter, bias=bias, down=self.down)
        return activate(x, rectify=self.rectify, clamp=None if self.clamp is None else self.clamp * gain)
