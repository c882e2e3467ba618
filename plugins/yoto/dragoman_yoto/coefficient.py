"""One loss coefficient: its range, how it is drawn, and what its knob is called."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.knobs import Knob

__all__ = ["Coefficient"]

LOG_UNIFORM, UNIFORM = "log-uniform", "uniform"


@dataclass(frozen=True)
class Coefficient:
    """The factor of one named loss.

    Args:
        loss: name of the loss.
        low: smallest factor.
        high: largest factor; equal to ``low``, the coefficient is fixed and no knob.
        default: factor without a choice; the middle of the range, on the scale on which it is drawn, if omitted.
        distribution: ``"log-uniform"`` (uniform in the logarithm), or ``"uniform"``.
        knob: what users call it; the name of the loss if omitted.

    Raises:
        InputError: the range is empty, not finite or not positive, or the default is outside of it.
    """

    loss: str
    low: float
    high: float
    default: float | None = None
    distribution: str = LOG_UNIFORM
    knob: str = ""

    def __post_init__(self) -> None:
        if self.distribution not in (LOG_UNIFORM, UNIFORM):
            raise InputError(f"{self.name} is drawn {LOG_UNIFORM} or {UNIFORM}, not {self.distribution!r}.")
        least = 0.0 if self.distribution == UNIFORM else math.ulp(0.0)
        if not least <= self.low <= self.high < math.inf:
            raise InputError(
                f"The range of {self.name} is [{self.low}, {self.high}]; it must ascend, and a {self.distribution} one "
                f"be {'positive' if least else 'at least 0'} and finite."
            )
        if self.default is not None and not self.low <= self.default <= self.high:
            raise InputError(f"The default of {self.name}, {self.default}, is outside of [{self.low}, {self.high}].")

    @property
    def name(self) -> str:
        """What users call it."""
        return self.knob or self.loss

    @property
    def varies(self) -> bool:
        """Whether there is anything to choose."""
        return self.low < self.high

    @property
    def usual(self) -> float:
        """The value without a choice."""
        return self.at(0.5) if self.default is None else self.default

    def at(self, position: float) -> float:
        """The factor at a position in [0, 1] of the range.

        >>> Coefficient("kl", 0.25, 4.0).at(0.5)
        1.0
        """
        if self.distribution == UNIFORM:
            return self.low + position * (self.high - self.low)
        # The ends come out exactly, so that a knob at its limit is inside of the range.
        value = self.low * math.pow(self.high / self.low, position)
        return min(max(value, self.low), self.high)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` factors, float64 ``[n]``; a fixed coefficient takes nothing from the generator."""
        if not self.varies:
            return torch.full((n,), self.low, dtype=torch.float64, device=generator.device)
        uniform = torch.rand(n, dtype=torch.float64, generator=generator, device=generator.device)
        if self.distribution == UNIFORM:
            return self.low + uniform * (self.high - self.low)
        return self.low * (self.high / self.low) ** uniform

    def position(self, values: Tensor) -> Tensor:
        """Where factors stand in the range, in [-1, 1], on the scale on which they are drawn."""
        if self.distribution == UNIFORM:
            return 2 * (values - self.low) / (self.high - self.low) - 1
        return 2 * torch.log(values / self.low) / math.log(self.high / self.low) - 1

    def as_knob(self) -> Knob:
        """The coefficient as users see it."""
        scale = "log" if self.distribution == LOG_UNIFORM else "linear"
        summary = f"weight of the loss {self.loss}"
        return Knob(self.name, self.usual, self.low, self.high, scale=scale, summary=summary)
