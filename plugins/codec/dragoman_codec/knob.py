"""The knob as it stands in a stream: a position in the range of lambda, in steps of half a percent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dragoman.errors import InputError
from dragoman.knobs import Knob, check_knobs
from dragoman_yoto.family import LossFamily

__all__ = ["FIXED", "POSITIONS", "check_family", "knobs_of", "position_of", "values_at"]

_LAST = 200
#: The position of a codec without a knob.
FIXED = _LAST + 1
#: How many there are.
POSITIONS = FIXED + 1
#: What people call the position, in percent.
QUALITY = "quality"
_USUAL = 50.0


def position_of(knobs: Mapping[str, float], family: LossFamily | None) -> int:
    """Knobs to the nearest position in [0, 200], or :data:`FIXED`.

    Raises:
        InputError: there is no such knob, its value is out of range, or both names of the knob are given.
    """
    if family is None:
        check_knobs(knobs, (), "This codec, which has one quality,")
        return FIXED
    chosen = check_knobs(knobs, knobs_of(family), "This codec")
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} are one knob; give one of them.")
    if chosen and QUALITY not in chosen:
        return _position(family, family.values(chosen)[0].tolist())
    quality: float = chosen.get(QUALITY, _USUAL)
    return round(quality / 100 * _LAST)


def check_family(family: LossFamily) -> None:
    """A stream has room for one position.

    Raises:
        InputError: not one coefficient varies, or it is called like the position.
    """
    names = [coefficient.name for coefficient in family.varying]
    if len(names) != 1 or names[0] == QUALITY:
        raise InputError(f"a codec has one coefficient that varies, not called {QUALITY}; this has {names}")


def knobs_of(family: LossFamily) -> tuple[Knob, ...]:
    """``quality``, and lambda, for which it stands."""
    summary = "0 for the smallest files, 100 for the best pictures"
    return (Knob(QUALITY, _USUAL, 0.0, 100.0, summary=summary), *family.knobs())


def values_at(position: int, family: LossFamily) -> dict[str, float]:
    """The knobs of the family at a position."""
    (coefficient,) = family.varying
    return {coefficient.name: coefficient.at(position / _LAST)}


def _position(family: LossFamily, values: list[float]) -> int:
    (coefficient,) = family.varying
    value = values[family.coefficients.index(coefficient)]
    return round(_LAST * math.log(value / coefficient.low) / math.log(coefficient.high / coefficient.low))
