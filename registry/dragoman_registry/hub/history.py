"""Branches, tags and commits of a repository."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from dragoman_registry.hub import audit
from dragoman_registry.hub.gitids import commit_id
from dragoman_registry.hub.names import check_ref, is_commit
from dragoman_registry.hub.refusal import RequestError, bad, conflict, no_revision
from dragoman_registry.hub.repositories import Repository
from dragoman_registry.hub.tokens import Caller
from dragoman_registry.hub.trees import Files, read_files, write_files

__all__ = [
    "Commit",
    "add_commit",
    "branch_name",
    "create_ref",
    "delete_ref",
    "log",
    "point",
    "refs",
    "resolve",
    "start",
]

BRANCHES, TAGS, REQUESTS = "refs/heads/", "refs/tags/", "refs/pr/"
#: What a deleted tag meant: it may be made again, but only for the same commit.
RETIRED = "refs/retired/"


@dataclass(frozen=True)
class Commit:
    """One commit; ``tree`` is the key of its root folder, ``created`` in seconds since 1970."""

    oid: str
    parent: str | None
    tree: str
    title: str
    description: str
    author: str
    created: float


_COLUMNS = "oid, parent, tree, title, description, author, created"


def start(db: sqlite3.Connection, caller: Caller, repository: Repository) -> Commit:
    """Give a new repository its first commit, which has no files, on ``main``."""
    commit = add_commit(db, repository, {}, None, caller.user, "initial commit", "")
    point(db, repository, BRANCHES + "main", commit.oid)
    return commit


def resolve(db: sqlite3.Connection, repository: Repository, revision: str) -> Commit:
    """The commit that a branch, a tag, a whole commit id or a ``refs/...`` name means.

    Raises:
        RequestError: it means none.
    """
    names = [revision] if revision.startswith((BRANCHES, TAGS, REQUESTS)) else [BRANCHES + revision, TAGS + revision]
    for name in names:
        query = "SELECT target FROM refs WHERE repository = ? AND name = ?"
        if (row := db.execute(query, (repository.id, name)).fetchone()) is not None:
            return _commit(db, repository, row["target"])
    if is_commit(revision):
        return _commit(db, repository, revision)
    raise no_revision(revision)


def _commit(db: sqlite3.Connection, repository: Repository, oid: str) -> Commit:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM commits WHERE repository = ? AND oid = ?", (repository.id, oid)
    ).fetchone()
    if row is None:
        raise no_revision(oid)
    return Commit(**dict(row))


def log(db: sqlite3.Connection, repository: Repository, commit: Commit) -> list[Commit]:
    """A commit and those before it, newest first."""
    query = f"""
        WITH RECURSIVE line (place, at) AS (
            SELECT 0, ? UNION ALL
            SELECT place + 1, parent FROM line JOIN commits ON repository = ? AND oid = at WHERE parent IS NOT NULL)
        SELECT {_COLUMNS} FROM line JOIN commits ON repository = ? AND oid = at ORDER BY place"""
    return [Commit(**dict(row)) for row in db.execute(query, (commit.oid, repository.id, repository.id))]


def add_commit(
    db: sqlite3.Connection,
    repository: Repository,
    files: Files,
    parent: str | None,
    author: str,
    title: str,
    description: str,
) -> Commit:
    """Keep a commit of these files. No branch points to it yet."""
    now = time.time()
    key, tree = write_files(db, files)
    message = f"{title}\n\n{description}" if description else title
    commit = Commit(commit_id(tree, parent, author, int(now), message), parent, key, title, description, author, now)
    db.execute(
        f"INSERT OR IGNORE INTO commits (repository, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (repository.id, commit.oid, parent, key, title, description, author, now),
    )
    return commit


def point(db: sqlite3.Connection, repository: Repository, name: str, oid: str, message: str | None = None) -> None:
    """Let a ref, ``refs/...``, mean a commit from now on."""
    db.execute(
        "INSERT INTO refs VALUES (?, ?, ?, ?, ?) ON CONFLICT (repository, name) DO UPDATE SET target = excluded.target",
        (repository.id, name, oid, message, time.time()),
    )
    db.execute("UPDATE repositories SET modified = ? WHERE id = ?", (time.time(), repository.id))


def branch_name(revision: str) -> str:
    """The ref that a commit to ``revision`` moves.

    Raises:
        RequestError: it is neither a branch nor a pull request.
    """
    if revision.startswith((BRANCHES, REQUESTS)):
        return revision
    return BRANCHES + check_ref(revision)


def refs(db: sqlite3.Connection, repository: Repository, prefix: str) -> list[sqlite3.Row]:
    """Refs whose names start with ``refs/heads/``, ``refs/tags/`` or ``refs/pr/``, by name."""
    query = "SELECT name, target, message FROM refs WHERE repository = ? AND substr(name, 1, ?) = ? ORDER BY name"
    return db.execute(query, (repository.id, len(prefix), prefix)).fetchall()


def create_ref(
    db: sqlite3.Connection, caller: Caller, repository: Repository, name: str, oid: str, message: str | None = None
) -> None:
    """Make a branch or tag.

    Raises:
        RequestError: 409; there is one of the name, or a branch and a tag would share it.
    """
    short = check_ref(name.removeprefix(TAGS if name.startswith(TAGS) else BRANCHES))
    for other in (BRANCHES + short, TAGS + short):
        query = "SELECT 1 FROM refs WHERE repository = ? AND name = ?"
        if db.execute(query, (repository.id, other)).fetchone():
            raise conflict(f"Reference {short!r} exists already in {repository.full_name}.")
    _check_retired(db, repository, name, oid)
    point(db, repository, name, oid, message)
    audit.record(db, caller.user, "ref.create", f"{repository.type}:{repository.full_name}", name=name, target=oid)


def _check_retired(db: sqlite3.Connection, repository: Repository, name: str, oid: str) -> None:
    retired = (repository.id, name.replace(TAGS, RETIRED, 1))
    row = db.execute("SELECT target FROM refs WHERE repository = ? AND name = ?", retired).fetchone()
    if name.startswith(TAGS) and row is not None and row["target"] != oid:
        raise conflict(
            f"The tag {name.removeprefix(TAGS)!r} meant commit {row['target']} before; tags are never moved."
        )


def delete_ref(db: sqlite3.Connection, caller: Caller, repository: Repository, name: str) -> None:
    """Remove a branch or tag.

    Raises:
        RequestError: there is none, or it is ``main``.
    """
    if name == BRANCHES + "main":
        raise bad("The branch 'main' cannot be deleted.")
    query = "DELETE FROM refs WHERE repository = ? AND name = ? RETURNING target"
    if (row := db.execute(query, (repository.id, name)).fetchone()) is None:
        raise no_revision(name)
    if name.startswith(TAGS):
        point(db, repository, name.replace(TAGS, RETIRED, 1), row["target"])
    audit.record(db, caller.user, "ref.delete", f"{repository.type}:{repository.full_name}", name=name, target=row[0])


def squash(db: sqlite3.Connection, caller: Caller, repository: Repository, branch: str, title: str) -> Commit:
    """Replace the history of a branch by one commit with the same files."""
    name = BRANCHES + check_ref(branch)
    before = resolve(db, repository, name)
    commit = add_commit(db, repository, read_files(db, before.tree), None, caller.user, title, "")
    point(db, repository, name, commit.oid)
    subject = f"{repository.type}:{repository.full_name}"
    audit.record(db, caller.user, "ref.squash", subject, name=name, before=before.oid, after=commit.oid)
    return commit


def check_parent(head: Commit, parent: str | None) -> None:
    """Refuse a commit that was made for another head.

    Raises:
        RequestError: 412; somebody else committed in between.
    """
    if parent is not None and parent != head.oid:
        raise RequestError(412, "A commit has happened since. Please refresh and try again.")
