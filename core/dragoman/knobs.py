"""Knobs: what a trained model lets its user choose, with names, ranges and defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.errors import InputError

__all__ = ["Knob", "check_knobs", "read_knobs", "split_knobs", "split_sweep"]

KINDS = ("number", "whole", "choice", "text")
SCALES = ("linear", "log")
#: Knobs written with a few digits may miss the end of a range by their rounding.
_SLACK = 1e-6


@dataclass(frozen=True)
class Knob:
    """One thing to choose when a model is used.

    Args:
        name: what users call it.
        default: the value without a choice; ``None`` for a text that is absent.
        low: smallest number.
        high: largest number.
        kind: ``"number"``, ``"whole"``, ``"choice"`` or ``"text"``; a text may also be given as its representation.
        scale: ``"linear"`` or ``"log"``: how a slider should move over the range.
        choices: the values of a choice.
        staged: whether a list may say one number for each stage of a model.
        summary: one line of help.
    """

    name: str
    default: Any = None
    low: float = -math.inf
    high: float = math.inf
    kind: str = "number"
    scale: str = "linear"
    choices: tuple[str, ...] = ()
    staged: bool = False
    summary: str = ""

    @property
    def values(self) -> str:
        """The values that it takes, in words.

        >>> Knob("guidance_scale", 2.0, low=0).values
        'at least 0'
        >>> Knob("quality", 50, 0, 100).values
        '0 to 100'
        """
        if self.kind == "choice":
            return " or ".join(self.choices)
        if self.kind == "text":
            return "a text"
        if math.isinf(self.low) and math.isinf(self.high):
            return "a number"
        return f"at least {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"

    def read(self, text: str) -> Any:
        """A value as it is written on the command line; commas separate the values of several stages.

        Raises:
            InputError: it is none of the values that the knob takes.
        """
        if self.kind in ("choice", "text"):
            return self.checked(text)
        try:
            numbers = [int(part) if self.kind == "whole" else float(part) for part in text.split(",")]
        except ValueError as error:
            raise self._refused(repr(text)) from error
        return self.checked(numbers if len(numbers) > 1 else numbers[0])

    def checked(self, value: Any) -> Any:
        """A value, or a list of one for each stage.

        Raises:
            InputError: it is none of the values that the knob takes.
        """
        if self.staged and isinstance(value, list | tuple):
            return [self._one(each) for each in value]
        return self._one(value)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; what is not known is left out."""
        entries: dict[str, Any] = {"name": self.name, "kind": self.kind, "default": self.default}
        entries |= {name: bound for name, bound in (("low", self.low), ("high", self.high)) if math.isfinite(bound)}
        if self.kind in ("number", "whole"):
            entries["scale"] = self.scale
        extra = {"choices": list(self.choices), "staged": self.staged, "summary": self.summary}
        return entries | {name: value for name, value in extra.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Knob:
        """What :meth:`to_dict` described.

        Raises:
            InputError: an entry is missing, unknown, or of another type.
        """
        try:
            knob = cls(**{**data, "choices": tuple(data.get("choices", ()))})
            knob._check()
        except (TypeError, ValueError) as error:
            raise InputError(f"This does not describe a knob: {error}.") from error
        return knob

    def _check(self) -> None:
        if self.kind not in KINDS or self.scale not in SCALES or not self.name:
            raise ValueError(f"a knob has a name, a kind of {', '.join(KINDS)}, and a scale of {', '.join(SCALES)}")
        if not self.low <= self.high:
            raise ValueError(f"the range of {self.name} does not ascend")

    def _one(self, value: Any) -> Any:
        if self.kind == "text":
            return value
        if self.kind == "choice":
            if value not in self.choices:
                raise self._refused(repr(value))
            return value
        kinds = int if self.kind == "whole" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            raise self._refused(repr(value))
        low, high = self.low - _SLACK * abs(self.low), self.high + _SLACK * abs(self.high)
        if not low <= value <= high:
            raise self._refused(f"{value:g}")
        return min(max(value, self.low), self.high)

    def _refused(self, value: str) -> InputError:
        whole = "a whole number, " if self.kind == "whole" else ""
        return InputError(f"The knob {self.name} takes {whole}{self.values}, so it cannot be {value}.")


def split_knobs(texts: Sequence[str]) -> dict[str, str]:
    """``["beta=4"]``, as on the command line, to ``{"beta": "4"}``.

    Raises:
        InputError: a text is not of the form ``NAME=VALUE``, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"A knob is written NAME=VALUE, as in guidance_scale=4, not {text!r}.")
        if name in pairs:
            raise InputError(f"The knob {name} was given twice.")
        pairs[name] = value
    return pairs


def split_sweep(text: str) -> tuple[str, list[str]]:
    """``"guidance_scale=1,2,4"``, as on the command line, to the knob's name and its values as they are written.

    Raises:
        InputError: it is not of that form.
    """
    name, equals, values = text.partition("=")
    written = [value.strip() for value in values.split(",")]
    if not (name and equals and all(written)):
        raise InputError(f"A sweep is written NAME=VALUE,VALUE,..., as in guidance_scale=1,2,4, not {text!r}.")
    return name, written


def read_knobs(pairs: Mapping[str, str], knobs: Iterable[Knob], owner: str) -> dict[str, Any]:
    """Values of knobs as they were written.

    Args:
        pairs: of :func:`split_knobs`.
        knobs: those that exist.
        owner: whose they are, for messages: ``"minizoo/text2fashion"``.

    Raises:
        InputError: there is no such knob, in which case the sentence names those that exist, or no such value.
    """
    known = _known(pairs, knobs, owner)
    return {name: known[name].read(value) for name, value in pairs.items()}


def check_knobs(values: Mapping[str, Any], knobs: Iterable[Knob], owner: str) -> dict[str, Any]:
    """Values of knobs, checked.

    Raises:
        InputError: as of :func:`read_knobs`.
    """
    known = _known(values, knobs, owner)
    return {name: known[name].checked(value) for name, value in values.items()}


def _known(names: Iterable[str], knobs: Iterable[Knob], owner: str) -> dict[str, Knob]:
    known = {knob.name: knob for knob in knobs}
    unknown = [name for name in names if name not in known]
    if unknown:
        exist = ", ".join(f"{knob.name} ({knob.values})" for knob in known.values())
        raise InputError(
            f"{owner} has no knob {unknown[0]!r}; " + (f"its knobs are {exist}." if exist else "it has none.")
        )
    return known
