"""A lower bound that lets gradients pass which lead away from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LowerBound", "lower_bound"]


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


def lower_bound(values: Tensor, bound: float | Tensor) -> Tensor:
    """``max(values, bound)``, with gradients where they lead away from the bound."""
    bounded: Tensor = _Bounded.apply(values, torch.as_tensor(bound).to(values))  # type: ignore[no-untyped-call]
    return bounded


class LowerBound(nn.Module):
    """:func:`lower_bound` with a bound that checkpoints hold.

    Args:
        bound: the bound, a buffer of the same name.
    """

    bound: Tensor

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor([bound]))

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape."""
        return lower_bound(values, self.bound)
