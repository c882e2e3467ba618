"""Recipes: everything that decides what a fusion becomes, as data. A package carries its own and can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragoman.errors import InputError

__all__ = ["Recipe"]

_TEXTS = ("source", "target", "ranker")
_TABLES = ("translator", "pairs", "method", "training", "sampling")


@dataclass(frozen=True)
class Recipe:
    """What ``dragoman fuse`` does, in the tables of a TOML file.

    Args:
        source: endpoint of the expert that reads, ``NAME[=ADDRESS][:PORT]``.
        target: endpoint of the expert that renders.
        translator: ``name`` on the translator's card, and its own options.
        pairs: ``count``, ``seed``, ``spread`` and ``captioner`` (``NAME[=ADDRESS]``) for generated pairs, or
            ``folder`` for the user's own; ``validation`` says how many are kept out of training, for signals of how
            it goes.
        method: ``name`` on the method's card, its options, and optionally ``critic`` (the name on a critic's card).
        training: ``steps``, ``minutes`` or both (whichever are over first), and the other fields of
            :class:`dragoman.training.Settings`.
        ranker: name of the critic that will rank candidates, or ``""``.
        sampling: values of knobs that the fusion prefers (:meth:`dragoman.Fusion.prefer`), such as ``candidates``.

    Raises:
        InputError: an entry has another type, the translator has no name, or a value cannot be written as JSON.
    """

    source: str
    target: str
    translator: Mapping[str, Any]
    pairs: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    ranker: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise InputError(f"The recipe's entry {name!r} must be a text, not {getattr(self, name)!r}.")
        for name in _TABLES:
            if not isinstance(getattr(self, name), Mapping):
                raise InputError(f"The recipe's entry {name!r} must be a table, not {getattr(self, name)!r}.")
        if not isinstance(self.translator.get("name"), str):
            raise InputError("The recipe's translator has no name; write name = ... in its table.")
        try:
            json.dumps(self.to_dict(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The recipe holds a value that is neither number, text, list nor table: {error}."
            ) from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read a recipe.

        Raises:
            InputError: a required entry is missing, or one is unknown.
        """
        known = set(cls.__dataclass_fields__)
        unknown = sorted(set(data) - known)
        if unknown:
            raise InputError(f"The recipe has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.")
        missing = [name for name in ("source", "target", "translator") if name not in data]
        if missing:
            raise InputError(f"The recipe has no entry {missing[0]!r}.")
        return cls(**data)

    @classmethod
    def from_toml(cls, path: Path) -> Recipe:
        """Read a recipe from a TOML file.

        Raises:
            InputError: the file is missing, is no TOML, or is no recipe.
        """
        import tomllib

        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read as a recipe: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a recipe: {error}.") from error
        return cls.from_dict(data)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON-ready data."""
        tables = {name: dict(getattr(self, name)) for name in _TABLES}
        return {name: tables.get(name, getattr(self, name)) for name in self.__dataclass_fields__}
