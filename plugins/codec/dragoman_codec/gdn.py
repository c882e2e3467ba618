"""Generalised divisive normalisation (Balle, Laparra, Simoncelli 2016, arXiv:1511.06281)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman_codec.bound import LowerBound

__all__ = ["GDN"]

_PEDESTAL = 2.0**-36
_LEAST_BETA = 1e-6


class _NonNegative(nn.Module):
    """``max(p, sqrt(least + pedestal))^2 - pedestal``: stays at least ``least``, with useful gradients."""

    pedestal: Tensor

    def __init__(self, least: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("pedestal", torch.tensor([_PEDESTAL]))
        self.lower_bound = LowerBound((least + _PEDESTAL) ** 0.5)

    def forward(self, parameter: Tensor) -> Tensor:
        bounded: Tensor = self.lower_bound(parameter)
        return bounded.square() - self.pedestal.to(parameter)

    def inverse(self, values: Tensor) -> Tensor:
        return (values + _PEDESTAL).clamp(min=_PEDESTAL).sqrt()


class GDN(nn.Module):
    """``x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)``, or times that root.

    Args:
        channels: of the maps.
        inverse: multiply, as decoders do.
        gamma: what a channel begins to be divided by itself with.
    """

    def __init__(self, channels: int, *, inverse: bool = False, gamma: float = 0.1) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_reparam, self.gamma_reparam = _NonNegative(_LEAST_BETA), _NonNegative()
        self.beta = nn.Parameter(self.beta_reparam.inverse(torch.ones(channels)))
        self.gamma = nn.Parameter(self.gamma_reparam.inverse(gamma * torch.eye(channels)))

    def forward(self, maps: Tensor) -> Tensor:
        """``[B, C, H, W]``."""
        beta, gamma = self.beta_reparam(self.beta), self.gamma_reparam(self.gamma)
        norm = functional.conv2d(maps.square(), gamma[:, :, None, None], beta)
        return maps * (norm.sqrt() if self.inverse else norm.rsqrt())
