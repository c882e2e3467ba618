"""ActNorm: an affine map per dimension whose first values make a batch zero-mean and unit-variance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ActNorm"]

#: Spread below which a dimension counts as constant; such a dimension is centred and not scaled.
SMALLEST_STD = 1e-4


class ActNorm(nn.Module):
    """``y = x * exp(log_scale) + bias`` per dimension (Kingma and Dhariwal 2018, section 3.1).

    Until :meth:`initialize` is called it is the identity.

    Args:
        size: number of dimensions D.
    """

    initialized: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("initialized", torch.tensor(False))

    @torch.no_grad()
    def initialize(self, batch: Tensor) -> None:
        """Normalise ``batch`` ``[B, D]``, once; a second call changes nothing.

        A single row says nothing about the spread, so it sets the bias alone.
        """
        if bool(self.initialized):
            return
        std = batch.std(dim=0, correction=0)
        self.log_scale.copy_(torch.where(std > SMALLEST_STD, std, 1.0).log().neg())
        self.bias.copy_(-batch.mean(dim=0) * self.log_scale.exp())
        self.initialized.fill_(True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, D]`` to the normalised ``[B, D]`` and the log-determinant, a scalar equal for all rows."""
        return x * self.log_scale.exp() + self.bias, self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        """The ``x`` of which :meth:`forward` makes ``y``, both ``[B, D]``."""
        return (y - self.bias) * (-self.log_scale).exp()
