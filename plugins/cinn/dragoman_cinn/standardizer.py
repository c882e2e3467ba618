"""Standardisation by statistics of the training data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Standardizer"]

#: Spread below which a feature counts as constant; such a feature is centred and not scaled.
SMALLEST_STD = 1e-6


class Standardizer(nn.Module):
    """``(x - mean) / std`` per feature, with statistics kept in buffers; the identity until measured.

    Args:
        size: number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    @torch.no_grad()
    def measure(self, rows: Tensor) -> None:
        """Take mean and standard deviation from ``[N, size]``; one row sets the mean alone."""
        rows = rows.to(self.mean)
        mean = rows.mean(dim=0)
        std = (rows - mean).square().mean(dim=0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > SMALLEST_STD, std, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``[..., size]``."""
        return (x - self.mean).div_(self.std)

    def inverse(self, x: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return x * self.std + self.mean

    def log_det(self) -> Tensor:
        """Log-determinant of :meth:`forward` in nats, a scalar."""
        return -self.std.log().sum()
