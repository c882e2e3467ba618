"""Which classes are tuned: what the user wrote, the critic's number of each, and the generator's where it has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dragoman.errors import InputError
from dragoman_tuning.classifier import Classifier

__all__ = ["Wanted", "parse_classes"]


@dataclass(frozen=True)
class Wanted:
    """A class to tune.

    Attributes:
        name: how it will be called.
        label: the critic's number.
        own: the generator's row, or ``None`` for a class that it never saw.
    """

    name: str
    label: int
    own: int | None


def parse_classes(texts: Sequence[str], critic: Classifier, rows: int, *, seen: bool) -> list[Wanted]:
    """Read ``NAME`` or ``NAME=ROW``, where the row is the generator's number of the class.

    Args:
        texts: what the user wrote.
        critic: knows the names.
        rows: how many classes the generator has.
        seen: whether the generator knows these classes; without a row, its numbers are then taken to be the critic's.

    Raises:
        InputError: there is no such class or row, a class is named twice, or the numbers cannot be the same.
    """
    if not texts:
        raise InputError("No class was named; write --classes NAME, as often as there are classes.")
    wanted = [_parse(text, critic, rows, seen) for text in texts]
    names = [entry.name.casefold() for entry in wanted]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Class {name!r} is named twice.")
    return wanted


def _parse(text: str, critic: Classifier, rows: int, seen: bool) -> Wanted:
    name, equals, number = text.rpartition("=") if "=" in text else (text, "", "")
    label = critic.label(name)
    if not equals and seen and len(critic.labels) != rows:
        raise InputError(
            f"The generator has {rows} classes and {critic.name!r} knows {len(critic.labels)}, so their numbers differ;"
            f" write {name}=ROW with the generator's number."
        )
    if equals and not (number.isdecimal() and int(number) < rows):
        raise InputError(f"{text!r} names no class of the generator; its rows are 0 to {rows - 1}.")
    return Wanted(name.strip(), label, int(number) if equals else (label if seen else None))
