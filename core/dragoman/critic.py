"""Critics: judges of outputs, for training, ranking and evaluation."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from dragoman.representation import Representation

__all__ = ["Critic"]


class Critic(nn.Module):
    """A judge of outputs, given what they were asked to be.

    A critic that needs weights of its own is also loadable: see :class:`dragoman.Expert`, from which it may inherit
    beside this class.

    Attributes:
        ceiling: no score is above it. Whoever chooses among candidates by the scores need not look at all of them
            where one comes near.
    """

    ceiling: float = math.inf

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """Named losses, one value per sample, differentiable in ``outputs``.

        Args:
            outputs: images, float ``[B, C, H, W]`` in [0, 1].
            condition: the representation that they were made for.
            **context: what a method knows beside these, such as labels.
        """
        raise NotImplementedError(f"{type(self).__name__} has no losses")

    def score(self, outputs: Tensor, condition: Representation) -> Tensor:
        """How well each output fits its condition, ``[B]``; higher is better. The negative sum of the losses."""
        total = sum(self.losses(outputs, condition).values())
        assert isinstance(total, Tensor)
        return -total
