"""What every metric asks of the features that it is given."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.ports import describe_shape

__all__ = ["check_features", "check_widths", "row_chunks"]

# Largest distance matrix held at once, in elements: 64 MB of float64.
_LARGEST_BLOCK = 2**23


def check_features(features: Tensor, what: str, at_least: int = 1, form: str = "[N, D]") -> Tensor:
    """The features in float64, without history.

    Args:
        features: float ``[N, D]``, or ``[P, N, D]`` for grouped ones.
        what: what they are called in the error.
        at_least: smallest ``N``.
        form: the shape that is expected.

    Raises:
        InputError: another number of dimensions, no features, too few samples, or values that are not finite.
    """
    shape = describe_shape(tuple(features.shape))
    if features.ndim != form.count(",") + 1 or features.numel() == 0 or features.shape[-2] < at_least:
        raise InputError(f"The {what} features have shape {shape}; {form} is needed, with N at least {at_least}.")
    exact = features.detach().to(torch.float64)
    broken = int((~torch.isfinite(exact)).sum())
    if broken:
        raise InputError(f"The {what} features hold {broken} values that are not finite.")
    return exact


def check_widths(one: Tensor, one_name: str, other: Tensor, other_name: str) -> None:
    """Two sets of features come from one network.

    Raises:
        InputError: they have different widths.
    """
    if one.shape[-1] != other.shape[-1]:
        sizes = f"{one.shape[-1]} and {other.shape[-1]}"
        raise InputError(f"The {one_name} and {other_name} features have different widths: {sizes}.")


def row_chunks(rows: Tensor, columns: int) -> Iterator[Tensor]:
    """The rows in pieces whose distances to ``columns`` points fit into memory."""
    size = max(1, _LARGEST_BLOCK // columns)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
