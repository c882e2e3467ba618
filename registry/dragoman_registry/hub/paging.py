"""Long answers in pages, linked as the client follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.refusal import bad

__all__ = ["limit_of", "page", "sliced"]

T = TypeVar("T")


def limit_of(call: Call, largest: int) -> int:
    """How many entries a page has: what ``limit`` asks for, within bounds."""
    text = call.query.get("limit", "")
    return min(max(int(text[:9]), 1), largest) if text.isdecimal() and text.isascii() else largest


def page(call: Call, path: str, entries: Sequence[Any], cursor: str | None) -> Response:
    """A page, and, when there is a cursor, the address of the next one."""
    headers = {}
    if cursor is not None:
        kept = [(key, value) for key, value in call.query.multi_items() if key != "cursor"]
        headers["Link"] = f'<{call.hub.url}{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
    return JSONResponse(list(entries), headers=headers)


def sliced(call: Call, entries: Sequence[T], largest: int) -> tuple[Sequence[T], str | None]:
    """The entries from the cursor on, and the cursor after them.

    Raises:
        RequestError: the cursor is no number.
    """
    text = call.query.get("cursor", "0")
    if not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise bad("The cursor is not one that this server gave out.")
    start, size = int(text), limit_of(call, largest)
    more = start + size < len(entries)
    return entries[start : start + size], str(start + size) if more else None
