"""Repositories: who sees them, making, moving, changing and deleting them."""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass

from dragoman_registry.hub import audit
from dragoman_registry.hub.names import check_repository, fold
from dragoman_registry.hub.refusal import RequestError, bad, conflict, forbidden, no_repository
from dragoman_registry.hub.tokens import Caller

__all__ = ["TYPES", "Repository", "create", "delete", "find", "move", "set_gated", "set_private", "writable"]

#: Kinds of repository, and what the client puts before their names in addresses.
TYPES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True)
class Repository:
    """One row of the table; ``epoch`` changes when the server forgets what xet clients remember of it."""

    id: int
    type: str
    namespace: str
    name: str
    private: bool
    created: float
    modified: float
    epoch: str

    @property
    def full_name(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def address(self) -> str:
        """Path of its page on the server."""
        return TYPES[self.type] + self.full_name


_COLUMNS = "id, type, namespace, name, private, created, modified, epoch"


def find(db: sqlite3.Connection, caller: Caller, kind: str, namespace: str, name: str) -> Repository:
    """A repository that the caller may see; case does not matter.

    Raises:
        RequestError: there is none, or it is hidden: the answers are the same.
    """
    query = f"SELECT {_COLUMNS} FROM repositories WHERE type = ? AND folded = ?"
    row = db.execute(query, (kind, fold(f"{namespace}/{name}"))).fetchone()
    if row is None or (row["private"] and not caller.owns(row["namespace"])):
        raise no_repository(f"{namespace}/{name}", anonymous=caller.anonymous)
    return Repository(**{**dict(row), "private": bool(row["private"])})


def writable(db: sqlite3.Connection, caller: Caller, kind: str, namespace: str, name: str) -> Repository:
    """A repository that the caller may change.

    Raises:
        RequestError: there is none, it is hidden, or the token only reads it.
    """
    repository = find(db, caller, kind, namespace, name)
    if caller.anonymous:
        raise RequestError(401, f"Changing {repository.full_name} needs a token.")
    if not caller.writes(repository.namespace):
        raise forbidden(f"Your token does not allow to change {repository.full_name}")
    return repository


def create(
    db: sqlite3.Connection, caller: Caller, kind: str, namespace: str, name: str, *, private: bool
) -> Repository:
    """Make a repository with an empty branch ``main``.

    Raises:
        RequestError: the name is not possible or taken (409), or the namespace is somebody else's.
    """
    full_name = check_repository(namespace, name)
    _check_namespace(caller, namespace)
    now = time.time()
    try:
        db.execute(
            "INSERT INTO repositories (type, namespace, name, owner, folded, private, created, modified, epoch)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, namespace, name, fold(namespace), fold(full_name), private, now, now, secrets.token_hex(8)),
        )
    except sqlite3.IntegrityError as error:
        raise conflict(f"You already created this {kind} repo: {full_name}") from error
    audit.record(db, caller.user, "repository.create", f"{kind}:{full_name}", private=private)
    return find(db, caller, kind, namespace, name)


def delete(db: sqlite3.Connection, caller: Caller, repository: Repository) -> None:
    """Remove a repository; garbage collection removes its bytes."""
    db.execute("DELETE FROM repositories WHERE id = ?", (repository.id,))
    audit.record(db, caller.user, "repository.delete", f"{repository.type}:{repository.full_name}")


def move(db: sqlite3.Connection, caller: Caller, repository: Repository, namespace: str, name: str) -> None:
    """Rename a repository.

    Raises:
        RequestError: the new name is not possible or taken, or the namespace is somebody else's.
    """
    full_name = check_repository(namespace, name)
    _check_namespace(caller, namespace)
    try:
        db.execute(
            "UPDATE repositories SET namespace = ?, name = ?, owner = ?, folded = ? WHERE id = ?",
            (namespace, name, fold(namespace), fold(full_name), repository.id),
        )
    except sqlite3.IntegrityError as error:
        raise conflict(f"There is a repository {full_name!r} already.") from error
    audit.record(db, caller.user, "repository.move", f"{repository.type}:{repository.full_name}", to=full_name)


def set_private(db: sqlite3.Connection, caller: Caller, repository: Repository, private: bool) -> None:
    """Hide a repository from others, or show it."""
    db.execute("UPDATE repositories SET private = ? WHERE id = ?", (private, repository.id))
    audit.record(db, caller.user, "repository.visibility", f"{repository.type}:{repository.full_name}", private=private)


def set_gated(gated: object) -> None:
    """Accept that access is not gated.

    Raises:
        RequestError: anything else was asked for; this server has no access requests.
    """
    if gated not in (None, False):
        raise bad("This server has no gated repositories; make the repository private.")


def _check_namespace(caller: Caller, namespace: str) -> None:
    if caller.anonymous:
        raise RequestError(401, "Making a repository needs a token.")
    if not caller.writes(namespace):
        raise forbidden(f"Your token does not allow to write in the namespace {namespace!r}")
