"""Runs of equal conditions, such as one prompt sampled many times."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.representation import Tokens

__all__ = ["distinct_runs"]


def distinct_runs(condition: Tensor | Tokens) -> tuple[Tensor | Tokens, Tensor]:
    """The first of each run of equal neighbours, and for each row the index of its run.

    Args:
        condition: tensor ``[B, ...]`` or tokens.

    Returns:
        The shortened batch, and int64 ``[B]``.
    """
    if isinstance(condition, Tokens):
        starts = _starts(condition.values) | _starts(condition.mask)
        return Tokens(condition.values[starts], condition.mask[starts]), _run_of(starts)
    starts = _starts(condition)
    return condition[starts], _run_of(starts)


def _starts(batch: Tensor) -> Tensor:
    starts = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
    starts[1:] = (batch[1:] != batch[:-1]).unsqueeze(-1).flatten(1).any(dim=1)
    return starts


def _run_of(starts: Tensor) -> Tensor:
    return starts.cumsum(dim=0) - 1
