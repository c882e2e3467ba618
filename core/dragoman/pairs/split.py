"""Keeping some pairs out of training."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.pairs.generated import some_declined
from dragoman.training.method import Batch

__all__ = ["Indexed", "TrainingPart"]


class Indexed(Protocol):
    """Pairs that are all there, and can be had by their position.

    Attributes:
        declined: draws that got no caption, ``[M, ...]``.
    """

    declined: Tensor

    def __len__(self) -> int: ...

    def at(self, index: Tensor) -> Batch:
        """The pairs at positions ``[B]``."""
        ...


class TrainingPart:
    """All pairs but the last few, drawn with replacement.

    Args:
        pairs: all of them.
        kept_back: how many to keep out; 0 leaves all.

    Raises:
        InputError: nothing is left to train on.
    """

    def __init__(self, pairs: Indexed, kept_back: int) -> None:
        if kept_back >= len(pairs):
            raise InputError(f"pairs: validation keeps back {kept_back} pairs, but there are {len(pairs)} in all.")
        self.pairs, self.kept_back = pairs, kept_back

    def __len__(self) -> int:
        return len(self.pairs) - self.kept_back

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Pairs drawn with replacement; under ``"declined"`` as many draws that got no caption, if there are any."""
        pairs = self.pairs.at(torch.randint(len(self), (size,), generator=generator))
        return pairs | some_declined(self.pairs.declined, size, generator)

    def validation(self, most: int) -> Batch:
        """Up to ``most`` of the pairs that were kept out, or without any the first ones of training."""
        if not self.kept_back:
            return self.pairs.at(torch.arange(min(most, len(self))))
        return self.pairs.at(len(self) + torch.arange(min(most, self.kept_back)))
