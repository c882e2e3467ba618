"""A fixed permutation of dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Permutation"]


class Permutation(nn.Module):
    """``y[i] = x[order[i]]``: mixes the two halves between couplings, with log-determinant 0.

    The order is drawn once and saved with the weights.

    Args:
        size: number of dimensions D.
        generator: source of the order, on the CPU.
    """

    order: Tensor
    inverse_order: Tensor

    def __init__(self, size: int, generator: torch.Generator) -> None:
        super().__init__()
        order = torch.randperm(size, generator=generator, device=generator.device)
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", order.argsort())

    def forward(self, x: Tensor) -> Tensor:
        """Permute ``[B, D]``."""
        return x.index_select(1, self.order)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return y.index_select(1, self.inverse_order)
