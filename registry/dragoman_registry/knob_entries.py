"""The knobs in a manifest: what the package lets its user choose, known without loading it."""

from __future__ import annotations

from typing import Any

from dragoman.errors import InputError, PackageError
from dragoman.knobs import Knob
from dragoman_registry import patterns
from dragoman_registry.strict import Fields

__all__ = ["read_entries"]

_MOST = 100


def read_entries(fields: Fields) -> tuple[Knob, ...]:
    """Read the entry ``knobs``, which may be absent.

    Raises:
        PackageError: an entry describes no knob, its default is none of its values, or two have one name.
    """
    if not fields.has("knobs"):
        return ()
    entries = fields.array("knobs")
    if len(entries) > _MOST:
        raise PackageError(f"{fields.where} lists {len(entries):,} knobs; at most {_MOST} are read.")
    knobs = tuple(_knob(Fields(entry, f"{fields.where}: knobs[{index}]")) for index, entry in enumerate(entries))
    if len({knob.name for knob in knobs}) < len(knobs):
        raise PackageError(f"{fields.where} lists two knobs of one name.")
    return knobs


def _knob(fields: Fields) -> Knob:
    data: dict[str, Any] = {"name": fields.text("name", patterns.NAME), "kind": fields.text("kind")}
    data |= {bound: _bound(fields, bound) for bound in ("low", "high") if fields.has(bound)}
    data |= {key: fields.text(key) for key in ("scale", "summary") if fields.has(key)}
    if fields.has("choices"):
        data["choices"] = fields.texts("choices", patterns.NAME_OF_CHOICE)
    if fields.has("staged"):
        data["staged"] = fields.flag("staged")
    default = fields.anything("default")
    fields.done()
    try:
        knob = Knob.from_dict(data)
        return Knob.from_dict({**data, "default": _default(knob, default)})
    except InputError as error:
        raise PackageError(f"{fields.where}: {error}") from error


def _bound(fields: Fields, name: str) -> int | float:
    """A number as it was written: a whole one stays whole, so that the manifest is the same bytes again."""
    value = fields.anything(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackageError(f"{fields.where}: {name!r} must be a number.")
    return value


def _default(knob: Knob, value: Any) -> Any:
    """The default, which obeys the knob's own rules; only a text may be absent."""
    if knob.kind == "text":
        if value is not None and not isinstance(value, str):
            raise InputError(f"The default of the knob {knob.name} is no text.")
        return value
    return knob.checked(value)
