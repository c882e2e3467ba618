"""The files and folders of a revision."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.dates import iso
from dragoman_registry.hub.history import Commit, log, resolve
from dragoman_registry.hub.info import lfs_facts
from dragoman_registry.hub.paging import page, sliced
from dragoman_registry.hub.refusal import bad, no_entry
from dragoman_registry.hub.repositories import Repository
from dragoman_registry.hub.trees import File, Files, read_files

__all__ = ["list_tree", "paths_info"]

_LONGEST_SEARCH = 1000


@dataclass(frozen=True)
class Place:
    """A commit and the repository that it is in."""

    repository: Repository
    commit: Commit


def list_tree(call: Call) -> Response:
    """One page of a folder, or of all below it."""
    at, files, folders = _read(call)
    path = call.params.get("path", "").strip("/")
    if path and path not in folders:
        raise no_entry(path, at.commit.oid)
    prefix = f"{path}/" if path else ""
    deep = call.flag("recursive")
    names = [
        name
        for name in sorted([*files, *folders])
        if name.startswith(prefix) and (deep or "/" not in name[len(prefix) :])
    ]
    expand = call.flag("expand")
    shown, cursor = sliced(call, names, 50 if expand else 1000)
    changes = _last_changes(call, at, shown) if expand else {}
    entries = [_entry(name, files, folders, changes.get(name)) for name in shown]
    where = f"{call.params['namespace']}/{call.params['name']}/tree/{quote(call.params['revision'], safe='')}"
    return page(call, f"/api/{call.kind}s/{where}" + (f"/{quote(path)}" if path else ""), entries, cursor)


def paths_info(call: Call) -> list[Any]:
    """The files and folders among the paths that the body lists; others are left out."""
    paths, expand = _asked(call)
    at, files, folders = _read(call)
    known = [path for path in dict.fromkeys(paths) if path in files or path in folders]
    changes = _last_changes(call, at, known) if expand else {}
    return [_entry(path, files, folders, changes.get(path)) for path in known]


def _asked(call: Call) -> tuple[list[str], bool]:
    if call.headers.get("content-type", "").startswith("application/json"):
        data = call.json()
        paths = data.get("paths")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise bad("The field 'paths' must be a list of paths.")
        return paths, data.get("expand") is True
    try:
        form = parse_qs(call.body.read().decode(), max_num_fields=10_000)
    except ValueError as error:
        raise bad("The request is not a valid form.") from error
    return form.get("paths", []), form.get("expand", [""])[-1].lower() == "true"


def _read(call: Call) -> tuple[Place, Files, dict[str, str]]:
    folders: dict[str, str] = {}
    with call.hub.database.reading() as db:
        repository = call.find(db)
        commit = resolve(db, repository, call.params["revision"])
        return Place(repository, commit), read_files(db, commit.tree, folders), folders


def _last_changes(call: Call, at: Place, paths: Sequence[str]) -> dict[str, Commit]:
    """The newest commit that changed each path; no more than :data:`_LONGEST_SEARCH` commits are looked at."""
    changes: dict[str, Commit] = {}
    with call.hub.database.reading() as db:
        commits = log(db, at.repository, at.commit)[:_LONGEST_SEARCH]
        after = _ids(db, commits[0])
        for commit, older in zip_longest(commits, commits[1:]):
            before = _ids(db, older) if older is not None else {}
            for path in paths:
                if path not in changes and after.get(path) != before.get(path):
                    changes[path] = commit
            after = before
            if len(changes) == len(paths):
                break
    return changes


def _ids(db: sqlite3.Connection, commit: Commit) -> dict[str, str]:
    ids: dict[str, str] = {}
    files = read_files(db, commit.tree, ids)
    return ids | {path: file.oid for path, file in files.items()}


def _entry(path: str, files: Files, folders: dict[str, str], commit: Commit | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "directory", "oid": folders.get(path, ""), "size": 0, "path": path}
    if path in files:
        entry |= _file(files[path])
    if commit is not None:
        entry["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": iso(commit.created)}
    return entry


def _file(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size}
    return {**entry, "lfs": lfs_facts(file, "oid")} if file.lfs else entry
