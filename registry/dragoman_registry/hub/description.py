"""What a repository is listed and searched by: read from its card when ``main`` moves."""

from __future__ import annotations

import json
import sqlite3

from dragoman_registry.hub.blobs import Blobs
from dragoman_registry.hub.cards import MAX_CARD, CardError, front_matter, tags
from dragoman_registry.hub.repositories import Repository
from dragoman_registry.hub.trees import Files

__all__ = ["card_text", "describe"]


def card_text(blobs: Blobs, files: Files) -> str:
    """The card among the files; empty when there is none, or it is far too large."""
    file = files.get("README.md")
    if file is None or file.size > MAX_CARD:
        return ""
    return blobs.path(file.sha256).read_text("utf-8", "replace")


def describe(db: sqlite3.Connection, blobs: Blobs, repository: Repository, files: Files) -> None:
    """Take tags and metadata from the card. One whose YAML is broken describes nothing."""
    try:
        data = front_matter(card_text(blobs, files))
    except CardError:
        data = {}
    found = tags(data)
    if "safetensors" not in found and any(path.endswith(".safetensors") for path in files):
        found.append("safetensors")
    row = (json.dumps(found), json.dumps(data), repository.id)
    db.execute("UPDATE repositories SET tags = ?, card = ? WHERE id = ?", row)
    db.execute("DELETE FROM tags WHERE repository = ?", (repository.id,))
    db.executemany("INSERT INTO tags VALUES (?, ?)", ((tag, repository.id) for tag in found))
