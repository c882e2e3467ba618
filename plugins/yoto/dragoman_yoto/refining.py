"""A second part of loss-conditional training, in which only the modulations move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_yoto.method import LossConditional

__all__ = ["ModulationsAlone"]


class ModulationsAlone(Method):
    """Train the modulations of a network whose own weights stay.

    Networks soon do well at the middle of their coefficients, and are slow to learn what to do differently elsewhere;
    the published code, too, has an optimiser of its own for the conditioning.

    Args:
        method: loss-conditional training, of one phase.
        learning_rate: peak of Adam's learning rate.
    """

    def __init__(self, method: LossConditional, *, learning_rate: float = 1e-2) -> None:
        super().__init__()
        self.method, self.learning_rate = method, learning_rate

    def phases(self) -> Sequence[Phase]:
        """The method's phase, over the modulations."""
        (phase,) = self.method.phases()
        moving = list(self.method.conditioned.film.parameters())
        return (Phase(phase.name, moving, self.learning_rate, weights=phase.weights, warmup=20, clip=phase.clip),)

    def trained(self) -> nn.Module:
        """The network and its modulations."""
        return self.method.trained()

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """The method's losses."""
        losses: Losses = self.method(phase, batch, generator)
        return losses

    def metrics(self) -> dict[str, Any]:
        """The method's."""
        return self.method.metrics()
