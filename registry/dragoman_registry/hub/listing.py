"""The list of repositories: searched, filtered, sorted and paged by the database."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from starlette.responses import Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.dates import iso
from dragoman_registry.hub.names import fold
from dragoman_registry.hub.paging import limit_of, page
from dragoman_registry.hub.refusal import bad
from dragoman_registry.hub.tokens import Caller

__all__ = ["list_repositories", "summary"]

_PAGE = 1000
#: What the client may sort by, and the column. Nothing here is liked or counted, so the rest sorts by age.
_SORTS = {"lastModified": "modified"}


def list_repositories(call: Call) -> Response:
    """One page of the repositories that the caller may see."""
    column, size = _SORTS.get(call.query.get("sort", ""), "id"), limit_of(call, _PAGE)
    where, values = _conditions(call)
    if "cursor" in call.query:
        where.append(f"({column}, id) < (?, ?)")
        values += _cursor(call.query["cursor"])
    query = f"SELECT * FROM repositories WHERE {' AND '.join(where)} ORDER BY {column} DESC, id DESC LIMIT ?"
    with call.hub.database.reading() as db:
        rows = db.execute(query, (*values, size + 1)).fetchall()
        entries = [_entry(db, call, row) for row in rows[:size]]
    after = f"{rows[size - 1][column]!r},{rows[size - 1]['id']}" if len(rows) > size else None
    return page(call, f"/api/{call.kind}s", entries, after)


def _conditions(call: Call) -> tuple[list[str], list[Any]]:
    where, values = ["type = ?"], [call.kind]
    _visible(call.caller, where, values)
    if author := call.query.get("author"):
        where.append("owner = ?")
        values.append(fold(author))
    for word in fold(call.query.get("search", "")).split()[:20]:
        where.append("instr(folded, ?)")
        values.append(word)
    wanted = [tag for entry in call.query.getlist("filter") for tag in entry.split(",")]
    for tag in [*wanted, *call.query.getlist("pipeline_tag")][:50]:
        where.append("id IN (SELECT repository FROM tags WHERE tag = ?)")
        values.append(tag)
    if call.query.get("gated", "").lower() == "true":
        where.append("0")
    return where, values


def _visible(caller: Caller, where: list[str], values: list[Any]) -> None:
    if not caller.admin:
        owned = caller.namespaces
        where.append(f"(private = 0 OR owner IN ({','.join('?' * len(owned))}))")
        values += owned


def _cursor(text: str) -> tuple[float, int]:
    key, _, number = text.partition(",")
    try:
        if len(text) > 64 or not number.isdecimal():
            raise ValueError
        return float(key), int(number)
    except ValueError as error:
        raise bad("The cursor is not one that this server gave out.") from error


def _entry(db: sqlite3.Connection, call: Call, row: sqlite3.Row) -> dict[str, Any]:
    entry = summary(row)
    wanted = set(call.query.getlist("expand"))
    if call.flag("cardData") or "cardData" in wanted:
        entry["cardData"] = json.loads(row["card"])
    if call.flag("full") or "sha" in wanted:
        query = "SELECT target FROM refs WHERE repository = ? AND name = 'refs/heads/main'"
        entry["sha"] = db.execute(query, (row["id"],)).fetchone()[0]
    return {name: value for name, value in entry.items() if name in wanted | {"id"}} if wanted else entry


def summary(row: sqlite3.Row) -> dict[str, Any]:
    """What every list says of a repository.

    Args:
        row: of the table of repositories, with all its columns.
    """
    full_name, tags = f"{row['namespace']}/{row['name']}", json.loads(row["tags"])
    card = json.loads(row["card"]) if row["card"] != "{}" else {}
    entry = {
        "_id": str(row["id"]),
        "id": full_name,
        "author": row["namespace"],
        "private": bool(row["private"]),
        "gated": False,
        "disabled": False,
        "tags": tags,
        "downloads": 0,
        "likes": 0,
        "createdAt": iso(row["created"]),
        "lastModified": iso(row["modified"]),
    }
    if row["type"] == "model":
        entry["modelId"] = full_name
        for name in ("pipeline_tag", "library_name"):
            if isinstance(card.get(name), str):
                entry[name] = card[name]
    return entry
