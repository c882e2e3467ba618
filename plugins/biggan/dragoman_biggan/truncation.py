"""The truncation trick: narrower z, and the batch-norm statistics that were recorded for it.

Brock, Donahue and Simonyan 2019 (arXiv:1809.11096, section 3.1). The released BigGAN-deep models hold statistics for
51 truncations from 0 to 1, each taken with ``z = truncation * t``, t standard normal cut off at 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dragoman.errors import InputError

__all__ = ["STATISTICS", "StatisticsRow", "check_truncation", "truncated_normal"]

_CUTOFF = 2.0
# Truncations such as 0.58 are no multiples of 0.02 in binary; what is this near to a row is that row.
_GRID_TOLERANCE = 1e-6


def check_truncation(truncation: float) -> None:
    """Raise unless a truncation is in (0, 1].

    Raises:
        InputError: it is not.
    """
    if not 0 < truncation <= 1:
        raise InputError(f"truncation must be in (0, 1], not {truncation}.")


def truncated_normal(size: int, generator: torch.Generator | None) -> Tensor:
    """One draw ``[size]`` of the standard normal cut off at -2 and 2, on the generator's device.

    By the inverse of the distribution function, ``sqrt(2) erfinv(erf(sqrt(2)) u)`` for u uniform in [-1, 1), so that
    every draw uses up the same amount of randomness.
    """
    device = generator.device if generator is not None else torch.device("cpu")
    uniform = 2 * torch.rand(size, generator=generator, device=device) - 1
    return torch.erfinv(uniform * math.erf(_CUTOFF / math.sqrt(2))) * math.sqrt(2)


@dataclass(frozen=True)
class StatisticsRow:
    """A place in a table of statistics: ``(1 - weight) * table[lower] + weight * table[lower + 1]``."""

    lower: int
    weight: float

    @classmethod
    def at(cls, truncation: float, rows: int, statistics: str = "exact") -> StatisticsRow:
        """The place of a truncation.

        Args:
            truncation: in (0, 1].
            rows: rows of the table, evenly spaced over truncations from 0 to 1.
            statistics: a key of :data:`STATISTICS`.

        Raises:
            InputError: the truncation is out of range, or there is no such way.
        """
        check_truncation(truncation)
        if statistics not in STATISTICS:
            raise InputError(f"statistics must be {' or '.join(map(repr, STATISTICS))}, not {statistics!r}.")
        return cls(*STATISTICS[statistics](truncation, rows))

    def of(self, table: Tensor) -> Tensor:
        """The statistics ``[C]`` at this place of ``[rows, C]``."""
        if not self.weight:
            return table[self.lower]
        return table[self.lower] * (1 - self.weight) + table[self.lower + 1] * self.weight


def _exact(truncation: float, rows: int) -> tuple[int, float]:
    position = truncation * (rows - 1)
    if abs(position - round(position)) < _GRID_TOLERANCE:
        return round(position), 0.0
    return math.floor(position), position % 1


def _pip(truncation: float, rows: int) -> tuple[int, float]:
    # Two defects of pytorch-pretrained-biggan 0.1.1: the weights of the two rows are exchanged, and rounding errors
    # count as fractions, so that 0.58 (28.999999999999996 steps) means row 28 and 0.14 (7.000000000000001) row 8.
    fraction, whole = math.modf(truncation / (1 / (rows - 1)))
    return min(int(whole), rows - 1), 1 - fraction if fraction and whole < rows - 1 else 0.0


#: Ways to look up a truncation: correctly, or as pytorch-pretrained-biggan 0.1.1 does, for bit parity with it.
STATISTICS: dict[str, Callable[[float, int], tuple[int, float]]] = {"exact": _exact, "pip": _pip}
