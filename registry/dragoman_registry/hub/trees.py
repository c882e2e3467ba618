"""The files of a commit, kept by content: folders that did not change are shared by commits and repositories."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from dragoman_registry.hub.gitids import tree_id
from dragoman_registry.hub.names import fold
from dragoman_registry.hub.refusal import bad

__all__ = ["File", "Files", "check_files", "read_files", "tree_keys", "write_files"]

Folder: TypeAlias = "dict[str, File | Folder]"


@dataclass(frozen=True)
class File:
    """A file of a tree: git's id of it (of its pointer, in LFS), the sha256 and the bytes of its content."""

    oid: str
    sha256: str
    size: int
    lfs: bool

    @property
    def etag(self) -> str:
        """What the client calls the content: the sha256 in LFS, else git's id."""
        return self.sha256 if self.lfs else self.oid


#: By path, sorted.
Files: TypeAlias = dict[str, File]


def check_files(files: Iterable[str]) -> None:
    """Refuse paths that cannot lie in one folder on every file system.

    Raises:
        RequestError: two paths differ only in case or compatible characters, or one is a file and also a folder.
    """
    spelled: dict[str, str] = {}
    folders: set[str] = set()
    paths = set(files)
    for path in paths:
        for end in (position for position, character in enumerate(path) if character == "/"):
            folders.add(path[:end])
    for name in paths | folders:
        if (other := spelled.setdefault(fold(name), name)) != name:
            raise bad(f"The paths {other!r} and {name!r} are the same on some file systems.")
    if clash := paths & folders:
        raise bad(f"The path {min(clash)!r} would be a file and a folder.")


def write_files(db: sqlite3.Connection, files: Files) -> tuple[str, str]:
    """Keep the files; the key of their root folder, and git's id of it."""
    root: Folder = {}
    for path, file in files.items():
        *folders, name = path.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]  # check_files: no file is here
        place[name] = file
    return _write(db, root)


def _write(db: sqlite3.Connection, folder: Folder) -> tuple[str, str]:
    rows: list[list[Any]] = []
    for name, entry in sorted(folder.items()):
        if isinstance(entry, File):
            rows.append([name, entry.oid, entry.sha256, entry.size, int(entry.lfs)])
        else:
            key, oid = _write(db, entry)
            rows.append([name, oid, key])
    body = json.dumps(rows, separators=(",", ":"))
    key = hashlib.sha256(body.encode()).hexdigest()
    oid = tree_id((row[0], row[1], len(row) == 3) for row in rows)
    db.execute("INSERT OR IGNORE INTO trees (key, oid, body) VALUES (?, ?, ?)", (key, oid, body))
    return key, oid


def read_files(db: sqlite3.Connection, key: str, folders: dict[str, str] | None = None, prefix: str = "") -> Files:
    """The files below a folder.

    Args:
        db: a connection.
        key: of the folder.
        folders: filled with git's id of each folder, by path.
        prefix: of the paths.
    """
    files: Files = {}
    for row in _rows(db, key):
        path = prefix + row[0]
        if len(row) == 3:
            if folders is not None:
                folders[path] = row[1]
            files.update(read_files(db, row[2], folders, path + "/"))
        else:
            files[path] = File(row[1], row[2], row[3], bool(row[4]))
    return files


def tree_keys(db: sqlite3.Connection, key: str, seen: set[str], blobs: set[str]) -> None:
    """Add the keys of a folder and all below to ``seen``, and the sha256 of their files to ``blobs``."""
    if key in seen:
        return
    seen.add(key)
    for row in _rows(db, key):
        if len(row) == 3:
            tree_keys(db, row[2], seen, blobs)
        else:
            blobs.add(row[2])


def _rows(db: sqlite3.Connection, key: str) -> list[list[Any]]:
    found = db.execute("SELECT body FROM trees WHERE key = ?", (key,)).fetchone()
    rows: list[list[Any]] = json.loads(found["body"])
    return rows
