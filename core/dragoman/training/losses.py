"""From named per-sample losses to the one number that is minimised."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dragoman.errors import TrainingError
from dragoman.representation import length
from dragoman.training.method import Batch, Losses

__all__ = ["check_per_sample", "describe", "first_not_finite", "weighted_sum"]


def check_per_sample(losses: Losses, batch: Batch, who: str, phase: str) -> None:
    """Raise unless there is at least one loss, and each has one value per sample of the batch.

    Args:
        losses: what the method gave.
        batch: what it was given.
        who: the method's name, for the message.
        phase: the phase's name, for the message.

    Raises:
        TrainingError: they do not.
    """
    if not losses:
        raise TrainingError(f"{who} returned no loss in phase {phase!r}; a phase minimises at least one.")
    size = length(next(iter(batch.values())))
    for name, value in losses.items():
        if value.shape != (size,):
            raise TrainingError(
                f"{who} returned loss {name!r} of shape {list(value.shape)} in phase {phase!r}, not [{size}]: "
                "losses are per sample, so that they can be weighted and logged; do not average over the batch."
            )


def weighted_sum(means: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the losses, each times its weight, which is 1 where none is given."""
    return torch.stack([weights.get(name, 1.0) * value for name, value in means.items()]).sum()


def first_not_finite(means: Mapping[str, Tensor]) -> str | None:
    """The name of a loss that is NaN or infinite, if there is one."""
    return next((name for name, value in means.items() if not torch.isfinite(value)), None)


def describe(means: Mapping[str, float]) -> str:
    """``nll 1.234  rate 0.5``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in means.items())
