"""Tables and nested data as plain text.

rich would do it in colour, but importing it takes about five times as long as starting Python, which is more than all
the rest of a listing.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["nested", "table"]

GAP = "  "


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table with aligned columns; on a terminal the last column wraps to its width."""
    cells = [[header.upper() for header in headers], *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers) - 1)]
    indent = sum(widths) + len(GAP) * len(widths)
    for row in cells:
        first, *rest = _wrap(row[-1], indent)
        fixed = GAP.join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), first])
        yield fixed.rstrip()
        yield from (" " * indent + line for line in rest)


def nested(data: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines ``key: value``; mappings are indented, lists of mappings become tables, what is empty is left out."""
    for key, value in data.items():
        if value in ("", None, [], (), {}):
            continue
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from nested(value, indent + GAP)
        elif _is_records(value):
            yield f"{indent}{key}:"
            yield from (indent + GAP + line for line in _records(value))
        else:
            yield f"{indent}{key}: {_text(value)}"


def _wrap(text: str, indent: int) -> list[str]:
    if not sys.stdout.isatty():
        return [text]
    room = shutil.get_terminal_size().columns - indent
    return textwrap.wrap(text, max(room, 24)) or [""]


def _is_records(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, Mapping) for item in value)


def _says(value: Any) -> bool:
    return value is not False and value not in ("", None)


def _records(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = dict.fromkeys(key for record in records for key in record)
    keys = [key for key in known if any(_says(record.get(key)) for record in records)]
    return table(keys, [[_text(record.get(key, "")) for key in keys] for record in records])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)
