"""The YAML at the top of a card, read as data: small, shallow, without aliases, and then made plain JSON."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

import yaml

__all__ = ["MAX_CARD", "CardError", "front_matter", "split", "tags"]

#: Largest card whose YAML is read, in bytes.
MAX_CARD = 1 << 20
_LARGEST_YAML, _DEEPEST = 64 << 10, 16
#: Makes plain data only; the one in C, where it was built, is ten times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FENCE = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)(?:^|\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


class CardError(ValueError):
    """The YAML of a card cannot be used; the message is one sentence."""


def split(card: str) -> tuple[str, str]:
    """The YAML (empty when there is none) and the text of a card."""
    found = _FENCE.match(card)
    return (found[1], card[found.end() :]) if found else ("", card)


def front_matter(card: str) -> dict[str, Any]:
    """The YAML of a card, as JSON would have it.

    Raises:
        CardError: it is no mapping, is too large or deep, or has aliases, which can make little text into much data.
    """
    text, _ = split(card)
    if len(text) > _LARGEST_YAML:
        raise CardError(f"The YAML of the card is longer than {_LARGEST_YAML} characters.")
    try:
        _check_events(text)
        data = yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise CardError(str(error)) from error
    if not isinstance(data, dict | None):
        raise CardError("The YAML of the card is not a mapping.")
    plain: dict[str, Any] = _plain(data or {})
    return plain


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise CardError("The YAML of the card has aliases.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise CardError("The YAML of the card is nested too deeply.")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value)


def _text(value: Any) -> str:
    shown = value if isinstance(value, str) else f"{value:e}" if isinstance(value, float) else repr(value)[:100]
    return shown.encode("utf-8", "replace").decode()


def tags(data: dict[str, Any]) -> list[str]:
    """What the repository is found by: as on the public Hub, the card's tags and fields, some with a prefix."""
    found = [*_strings(data, "tags"), *_strings(data, "library_name"), *_strings(data, "pipeline_tag")]
    found += _strings(data, "language")
    relation = "".join(f"{kind}:" for kind in _strings(data, "base_model_relation")[:1])
    for base in _strings(data, "base_model"):
        found += [f"base_model:{base}", *([f"base_model:{relation}{base}"] if relation else [])]
    found += [f"dataset:{name}" for name in _strings(data, "datasets")]
    found += [f"license:{name}" for name in _strings(data, "license")]
    return list(dict.fromkeys(tag for tag in found if 0 < len(tag) <= 200))[:500]


def _strings(data: dict[str, Any], name: str) -> list[str]:
    value = data.get(name)
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, str)]
