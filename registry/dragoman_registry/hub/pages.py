"""The page of a repository for people, and the answer for who watches the server."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.cards import split
from dragoman_registry.hub.description import card_text
from dragoman_registry.hub.history import resolve
from dragoman_registry.hub.markdown import render
from dragoman_registry.hub.trees import read_files

__all__ = ["health", "repository_page", "style"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
pre, code { font-family: ui-monospace, monospace; background: #f4f4f4 } pre { padding: .7rem; overflow: auto }
img { max-width: 100% } table { border-collapse: collapse } td { border: 1px solid #ccc; padding: .2rem .6rem }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}</title><link rel="stylesheet" href="/style.css"></head>
<body><h1>{name}</h1><p>{facts}</p><main>{card}</main><h2>Files</h2><ul>{files}</ul></body></html>
"""


def health(call: Call) -> dict[str, Any]:
    """That the database answers and the disk takes bytes."""
    with call.hub.database.reading() as db:
        repositories = db.execute("SELECT count(*) FROM repositories").fetchone()[0]
    with call.hub.blobs.writing() as writer:
        writer.write(b"healthy")
    return {"status": "ok", "repositories": repositories}


def style(_call: Call) -> Response:
    """How pages look."""
    return Response(_STYLE, media_type="text/css")


def repository_page(call: Call) -> Response:
    """Card and files of a repository that the caller may see."""
    with call.hub.database.reading() as db:
        repository = call.find(db)
        commit = resolve(db, repository, "main")
        files = read_files(db, commit.tree)
    base = f"/{repository.address}/resolve/{commit.oid}/"

    def locate(path: str) -> str:
        return base + quote(path.removeprefix("./"))

    listed = "".join(
        f'<li><a href="{escape(locate(path))}">{escape(path)}</a>, {file.size:,} bytes</li>'
        for path, file in files.items()
    )
    card = render(split(card_text(call.hub.blobs, files))[1], locate)
    facts = f"{repository.type}, {'private' if repository.private else 'public'}, commit {commit.oid}"
    return HTMLResponse(_PAGE.format(name=escape(repository.full_name), facts=facts, card=card, files=listed))
