"""The knob as it stands in a stream: a position in the range of lambda, in 16 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dragoman.errors import InputError
from dragoman_yoto.family import LossFamily

__all__ = ["FIXED", "position_of", "values_at"]

#: The position of a codec without a knob.
FIXED = 0xFFFF
_LAST = FIXED - 1
#: What people call the position, in percent.
QUALITY = "quality"


def position_of(knobs: Mapping[str, float], family: LossFamily | None) -> int:
    """Knobs to a position in [0, 65534], or :data:`FIXED`.

    Raises:
        InputError: there is no such knob, its value is out of range, or both names of the knob are given.
    """
    if family is None:
        if knobs:
            raise InputError(f"This codec has one quality, and so no knob {next(iter(knobs))!r}.")
        return FIXED
    if QUALITY not in knobs:
        return _position(family, family.values(knobs)[0].tolist()) if knobs else round(_LAST / 2)
    if len(knobs) > 1:
        raise InputError("quality and lambda are one knob; give one of them.")
    quality = knobs[QUALITY]
    if not 0 <= quality <= 100:
        raise InputError(f"The knob quality goes from 0 to 100, so it cannot be {quality:g}.")
    return round(quality / 100 * _LAST)


def values_at(position: int, family: LossFamily) -> dict[str, float]:
    """The knobs of the family at a position."""
    (coefficient,) = family.varying
    return {coefficient.name: coefficient.at(position / _LAST)}


def _position(family: LossFamily, values: list[float]) -> int:
    (coefficient,) = family.varying
    value = values[family.coefficients.index(coefficient)]
    return round(_LAST * math.log(value / coefficient.low) / math.log(coefficient.high / coefficient.low))
