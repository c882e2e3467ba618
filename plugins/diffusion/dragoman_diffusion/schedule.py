"""Noise schedules: how much of a sample is left at each time.

A noisy sample at time t in [0, 1] is ``z = alpha x + sigma e`` with ``alpha^2 + sigma^2 = 1`` and standard normal e.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dragoman_diffusion.options import check_choice, check_range

__all__ = ["SCHEDULES", "Schedule"]

#: Number of times between which the samplers choose, as in the published discrete schedules.
GRID = 1000
#: Noise levels of the linear schedule of Ho, Jain, Abbeel 2020 (arXiv:2006.11239), at the two ends of 1000 steps.
BETAS = (1e-4, 2e-2)
#: The offset of the cosine schedule of Nichol and Dhariwal 2021 (arXiv:2102.09672).
OFFSET = 0.008
#: At the noisy end a little of the sample is kept: dividing by zero helps nobody.
LEAST = 2e-9


def _cosine(t: Tensor) -> Tensor:
    return (torch.cos((t + OFFSET) / (1 + OFFSET) * math.pi / 2) / math.cos(OFFSET / (1 + OFFSET) * math.pi / 2)) ** 2


def _linear(t: Tensor) -> Tensor:
    # The continuous limit of products of 1 - beta.
    return torch.exp(-GRID * (BETAS[0] * t + (BETAS[1] - BETAS[0]) * t.square() / 2))


#: ``alpha^2`` as a function of time.
SCHEDULES: dict[str, Callable[[Tensor], Tensor]] = {"cosine": _cosine, "linear": _linear}


class Schedule:
    """``alpha(t)`` and ``sigma(t)`` of a variance-preserving process.

    Args:
        name: ``"cosine"`` or ``"linear"``.
        timesteps: number of times at which the network is trained, 0 for all of (0, 1).

    Raises:
        InputError: there is no such schedule, or the number is negative.
    """

    def __init__(self, name: str, timesteps: int = 0) -> None:
        check_choice("schedule", name, SCHEDULES)
        check_range("timesteps", timesteps, 0, whole=True)
        self.name, self.timesteps = name, timesteps

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``alpha`` and ``sigma`` at times ``[...]`` in [0, 1]."""
        kept = SCHEDULES[self.name](t.double()).clamp(LEAST, 1 - LEAST)
        return kept.sqrt().to(t), (1 - kept).sqrt().to(t)

    def draw(self, rows: int, generator: torch.Generator | None) -> Tensor:
        """Times for training, ``[rows]``: uniform over (0, 1], or over the discrete ones."""
        place = generator.device if generator is not None else None
        if self.timesteps:
            return (torch.randint(self.timesteps, (rows,), generator=generator, device=place) + 1) / self.timesteps
        return 1 - torch.rand(rows, generator=generator, device=place)

    def betas(self) -> list[float]:
        """The same schedule in :data:`GRID` steps, as diffusers' schedulers take it; step k is time ``(k+1)/GRID``."""
        t = torch.arange(GRID + 1, dtype=torch.float64) / GRID
        kept = SCHEDULES[self.name](t).clamp(LEAST, 1)
        return (1 - kept[1:] / kept[:-1]).clamp(1e-8, 0.9999).tolist()
