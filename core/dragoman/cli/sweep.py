"""Contact sheets: one prompt over a grid of knobs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from dragoman.errors import InputError
from dragoman.knobs import Knob, read_knobs, split_knobs

__all__ = ["Sweep", "read_sweeps"]

_MOST = 400


class Sweep(NamedTuple):
    """The settings of a contact sheet.

    Attributes:
        settings: values of knobs for each picture, row after row.
        rows: what stands above each row.
        columns: pictures per row.
    """

    settings: list[dict[str, Any]]
    rows: list[str]
    columns: int


def read_sweeps(texts: Sequence[str], knobs: Sequence[Knob], owner: str) -> Sweep | None:
    """One or two texts ``NAME=A,B,C`` as a grid: the first goes down, the last goes across.

    Raises:
        InputError: there are more than two, or values that their knobs do not take.
    """
    if not texts:
        return None
    if len(texts) > 2:
        raise InputError("A sheet has two sides, so at most two knobs can be swept.")
    written = {name: text.split(",") for name, text in split_knobs(texts).items()}
    values = {
        name: [read_knobs({name: one}, knobs, owner)[name] for one in given if one] for name, given in written.items()
    }
    if not all(values.values()) or len(list(product(*values.values()))) > _MOST:
        raise InputError(f"A sheet has 1 to {_MOST} pictures; list the values of a sweep as NAME=A,B,C.")
    *down, across = values
    columns = ", ".join(written[across])
    above = [f"{name}={one}; " for name in down for one in written[name]] or [""]
    settings = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    return Sweep(settings, [f"{row}{across}={columns}" for row in above], len(values[across]))
