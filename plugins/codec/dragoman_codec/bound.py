"""A lower bound that lets gradients pass which lead away from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LowerBound"]


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, bound: Tensor) -> Tensor:
        ctx.save_for_backward(values, bound)
        return torch.maximum(values, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, bound = ctx.saved_tensors
        # Descent raises a value whose gradient is negative: it may leave the bound again.
        return gradients[0] * ((values >= bound) | (gradients[0] < 0)), None


class LowerBound(nn.Module):
    """``max(values, bound)``.

    Args:
        bound: the bound, a buffer of the same name.
    """

    bound: Tensor

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor([bound]))

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape."""
        bounded: Tensor = _Bounded.apply(values, self.bound.to(values))  # type: ignore[no-untyped-call]
        return bounded
