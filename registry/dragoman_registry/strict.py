"""JSON from strangers: bounded in size and depth, without duplicate keys, and read field by field."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dragoman.errors import PackageError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Fields", "dump_json", "parse_json"]

#: Largest JSON document that is read, in bytes.
MAX_BYTES = 4 * 2**20
#: Deepest nesting of objects and arrays that is read.
MAX_DEPTH = 32
_MAX_TEXT = 4096
_MAX_TEXTS = 100
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*")
_MISSING: Any = object()


def parse_json(raw: bytes, where: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Read a JSON document that may be hostile.

    Args:
        raw: UTF-8 text.
        where: what it is, for messages.
        max_bytes: largest document.
        max_depth: deepest nesting.

    Raises:
        PackageError: it is too large, too deep, not UTF-8, not JSON, says a key twice, or holds NaN or Infinity.
    """
    if len(raw) > max_bytes:
        raise PackageError(f"{where} has {len(raw):,} bytes; at most {max_bytes:,} are read.")
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_number, parse_float=_finite)
    except RecursionError:
        raise PackageError(f"{where} is nested deeper than {max_depth} levels.") from None
    except ValueError as error:  # covers bad UTF-8, bad JSON, and integers of too many digits
        raise PackageError(f"{where} is no sound JSON: {error}; fetch or save the package again.") from error
    if _deeper_than(value, max_depth):
        raise PackageError(f"{where} is nested deeper than {max_depth} levels.")
    return value


def dump_json(value: Any) -> bytes:
    """Deterministic JSON: sorted keys, two spaces, ASCII, a newline at the end.

    Raises:
        TypeError: a value is not JSON-ready.
        ValueError: a number is NaN or infinite.
    """
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


class Fields:
    """The entries of one JSON object, taken one by one; what nobody took is an error.

    Args:
        data: what stands where an object is expected.
        where: what it is, for messages.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise PackageError(f"{where} must be a JSON object, not {_kind_of(data)}.")
        self.where = where
        self._left = dict(data)

    def text(self, key: str, pattern: str | None = None, default: str = _MISSING) -> str:
        """A string without control characters that matches ``pattern`` as a whole."""
        value: str = self._take(key, str, default)
        return value if value == default else self._checked(key, value, pattern)

    def texts(self, key: str, pattern: str) -> tuple[str, ...]:
        """A list of strings that match ``pattern``, each as a whole."""
        values = self._take(key, list)
        if len(values) > _MAX_TEXTS or not all(isinstance(value, str) for value in values):
            raise PackageError(f"{self.where}: {key!r} must be a list of at most {_MAX_TEXTS} texts.")
        return tuple(self._checked(key, value, pattern) for value in values)

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer in ``[low, high]``."""
        value: int = self._take(key, int)
        if isinstance(value, bool) or not low <= value <= high:
            raise PackageError(f"{self.where}: {key!r} must be a whole number from {low} to {high}, not {value!r}.")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """A number in ``[low, high]``."""
        value: float = self._take(key, (int, float))
        if isinstance(value, bool) or not low <= value <= high:
            raise PackageError(f"{self.where}: {key!r} must be a number from {low} to {high}, not {value!r}.")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        return bool(self._take(key, bool))

    def anything(self, key: str) -> Any:
        """A value of any type, for the caller to check."""
        return self._take(key, object)

    def array(self, key: str) -> list[Any]:
        """A list."""
        return list(self._take(key, list))

    def mapping(self, key: str) -> dict[str, Any]:
        """An object, as it stands."""
        return dict(self._take(key, dict))

    def fields(self, key: str) -> dict[str, Fields]:
        """An object whose values are objects."""
        values: dict[str, Any] = self._take(key, dict)
        return {name: Fields(value, f"{self.where}: {key}.{name}") for name, value in values.items()}

    def has(self, key: str) -> bool:
        """Whether the entry is there, and not yet taken."""
        return key in self._left

    def done(self) -> None:
        """Raise if anything was not taken."""
        if self._left:
            names = ", ".join(repr(key[:80]) for key in sorted(self._left)[:5])
            raise PackageError(f"{self.where} has unknown entries: {names}; it may be damaged or made by other means.")

    def _checked(self, key: str, value: str, pattern: str | None) -> str:
        if len(value) > _MAX_TEXT or not _PRINTABLE.fullmatch(value):
            raise PackageError(f"{self.where}: {key!r} is too long or has control characters.")
        if pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
            raise PackageError(f"{self.where}: {key!r} cannot be {value!r}.")
        return value

    def _take(self, key: str, kind: Any, default: Any = _MISSING) -> Any:
        value = self._left.pop(key, default)
        if value is _MISSING:
            raise PackageError(f"{self.where} lacks {key!r}.")
        if value is not default and not isinstance(value, kind):
            raise PackageError(f"{self.where}: {key!r} cannot be {_kind_of(value)}.")
        return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text} is no finite number")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse_number(text)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return False
        level = [child for item in containers for child in _children(item)]
    return True


def _children(container: Mapping[str, Any] | list[Any]) -> list[Any]:
    return list(container.values()) if isinstance(container, Mapping) else container


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
