"""Integration of a velocity field over a fixed number of steps."""

from __future__ import annotations

from torch import Tensor

from dragoman_diffusion.options import check_choice
from dragoman_diffusion.vectors import Field

__all__ = ["METHODS", "integrate", "nodes"]

METHODS = ("euler", "midpoint")


def nodes(field: Field, x: Tensor, steps: int, method: str, *, backwards: bool = False) -> list[tuple[Tensor, float]]:
    """Where the field was evaluated on the way from time 0 to 1, or from 1 to 0, and the result as the last entry.

    Args:
        field: velocity at points and times.
        x: points ``[B, D]`` at the beginning.
        steps: steps of equal length.
        method: ``"euler"``, or ``"midpoint"`` with two evaluations per step.
        backwards: from 1 to 0.

    Returns:
        For each step the point and time at which its velocity was taken; the last entry is the end.

    Raises:
        InputError: there is no such method.
    """
    check_choice("method", method, METHODS)
    start, length = (1.0, -1 / steps) if backwards else (0.0, 1 / steps)
    visited: list[tuple[Tensor, float]] = []
    for step in range(steps):
        place, time = x, start + step * length
        if method == "midpoint":
            place, time = x + length / 2 * _at(field, x, time), time + length / 2
        visited.append((place, time))
        x = x + length * _at(field, place, time)
    return [*visited, (x, start + steps * length)]


def integrate(field: Field, x: Tensor, steps: int, method: str, *, backwards: bool = False) -> Tensor:
    """The end of the path through ``x``, ``[B, D]``; see :func:`nodes`."""
    return nodes(field, x, steps, method, backwards=backwards)[-1][0]


def _at(field: Field, x: Tensor, time: float) -> Tensor:
    return field(x, x.new_full((len(x),), time))
