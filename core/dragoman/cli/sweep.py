"""Contact sheets: one prompt over a grid of knobs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from dragoman.errors import InputError
from dragoman.knobs import Knob, read_knobs, split_sweep

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
    written = dict(split_sweep(text) for text in texts)
    if len(written) < len(texts):
        raise InputError(f"The knob {next(iter(written))} was swept twice; list its values once, as NAME=A,B,C.")
    values = {name: [read_knobs({name: one}, knobs, owner)[name] for one in given] for name, given in written.items()}
    if len(list(product(*values.values()))) > _MOST:
        raise InputError(f"A sheet has at most {_MOST} pictures; list fewer values.")
    *down, across = values
    columns = ", ".join(written[across])
    above = [f"{name}={one}; " for name in down for one in written[name]] or [""]
    settings = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    return Sweep(settings, [f"{row}{across}={columns}" for row in above], len(values[across]))
