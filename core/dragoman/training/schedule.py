"""Learning-rate schedules as functions of the step, so that there is no scheduler state to save."""

from __future__ import annotations

import math

from dragoman.errors import InputError
from dragoman.training.method import Phase

__all__ = ["learning_rate"]


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """The learning rate of a phase at a step of a run of ``steps``: linear warm-up, then constant or cosine to zero.

    >>> learning_rate(Phase("flow", [], learning_rate=1.0), step=50, steps=100)
    0.5

    Raises:
        InputError: the schedule's name is unknown.
    """
    warm = min(1.0, (step + 1) / phase.warmup) if phase.warmup else 1.0
    if phase.schedule == "constant":
        return phase.learning_rate * warm
    if phase.schedule == "cosine":
        return phase.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
    raise InputError(f"Unknown schedule {phase.schedule!r}; write constant or cosine.")
