"""A commit, from the bytes of its files to the branch that moves: all of it or nothing, and durable when it returns."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import IO

from dragoman_registry.hub import audit
from dragoman_registry.hub.blobs import Batch, Blobs
from dragoman_registry.hub.description import describe
from dragoman_registry.hub.gitids import blob_id, pointer
from dragoman_registry.hub.history import (
    BRANCHES,
    REQUESTS,
    Commit,
    add_commit,
    branch_name,
    check_parent,
    point,
    refs,
    resolve,
)
from dragoman_registry.hub.holdings import hold, may_refer
from dragoman_registry.hub.payload import Add, Delete, Header, Refer, parse
from dragoman_registry.hub.refusal import RequestError, bad, no_entry
from dragoman_registry.hub.repositories import Repository
from dragoman_registry.hub.tokens import Caller
from dragoman_registry.hub.trees import File, Files, check_files, read_files

__all__ = ["MAX_FILES", "Change", "Put", "apply", "receive"]

#: Most files of one revision.
MAX_FILES = 100_000


@dataclass(frozen=True)
class Put:
    """A file that came inside the commit and is a blob already."""

    path: str
    file: File


@dataclass(frozen=True)
class Change:
    """A commit that was received whole, its bytes flushed, but which has not happened yet."""

    header: Header
    operations: tuple[Put | Refer | Delete, ...]


def receive(blobs: Blobs, body: IO[bytes]) -> Change:
    """Read a commit and put the files that it brings on the disk.

    Raises:
        RequestError: the body is malformed or too large.
        OSError: the disk is full.
    """
    header = Header("commit", "", None)
    operations: list[Put | Refer | Delete] = []
    with Batch(blobs) as batch:
        for item in parse(body):
            if isinstance(item, Header):
                header = item
            elif isinstance(item, Add):
                file = File(blob_id(item.content), batch.add(item.content), len(item.content), lfs=False)
                operations.append(Put(item.path, file))
            else:
                operations.append(item)
    return Change(header, tuple(operations))


def apply(
    db: sqlite3.Connection,
    blobs: Blobs,
    caller: Caller,
    repository: Repository,
    revision: str,
    change: Change,
    *,
    request: bool = False,
) -> tuple[Commit, str]:
    """Let a commit happen, and return it with the ref that points to it now.

    A change that changes nothing makes no commit, so that one sent twice happens once.

    Args:
        db: a writing connection; the caller ends its transaction before it acknowledges.
        blobs: where the bytes are.
        caller: who may write to the repository.
        repository: where.
        revision: the branch.
        change: what.
        request: make it a pull request on the branch instead of moving it.

    Raises:
        RequestError: 412, another commit came first; 400, bytes were not sent or a path is impossible; 404, no branch.
    """
    name = branch_name(revision)
    head = resolve(db, repository, name)
    check_parent(head, change.header.parent)
    files = read_files(db, head.tree)
    before = dict(files)
    for operation in change.operations:
        _operate(db, blobs, caller, repository, files, operation, head)
    if files == before and not request:
        return head, name
    _check(files)
    header = change.header
    commit = add_commit(db, repository, files, head.oid, caller.user, header.title, header.description)
    for file in {file for path, file in files.items() if before.get(path) != file}:
        hold(db, repository.id, file.sha256, file.size, committed=True)
    name = _next_request(db, repository) if request else name
    point(db, repository, name, commit.oid)
    if name == BRANCHES + "main":
        describe(db, blobs, repository, files)
    subject = f"{repository.type}:{repository.full_name}"
    audit.record(db, caller.user, "commit", subject, ref=name, oid=commit.oid, title=commit.title)
    return commit, name


def _operate(
    db: sqlite3.Connection,
    blobs: Blobs,
    caller: Caller,
    repository: Repository,
    files: Files,
    operation: Put | Refer | Delete,
    head: Commit,
) -> None:
    if isinstance(operation, Delete):
        _delete(files, operation, head)
    elif isinstance(operation, Refer):
        files[operation.path] = _referred(db, blobs, caller, repository, operation)
    elif blobs.touch(operation.file.sha256):
        files[operation.path] = operation.file
    else:
        raise RequestError(503, f"The content of {operation.path!r} was collected before the commit; send it again.")


def _referred(db: sqlite3.Connection, blobs: Blobs, caller: Caller, repository: Repository, operation: Refer) -> File:
    size = may_refer(db, blobs, caller, repository, operation.sha256)
    if size is None:
        raise bad(f"The content of {operation.path!r} was not sent to {repository.full_name}: upload it first.")
    if operation.size not in (None, size):
        raise bad(f"The content of {operation.path!r} has {size} bytes, not {operation.size}.")
    return File(blob_id(pointer(operation.sha256, size)), operation.sha256, size, lfs=True)


def _delete(files: Files, operation: Delete, head: Commit) -> None:
    below = operation.path + "/"
    gone = [path for path in files if path.startswith(below)] if operation.folder else [operation.path]
    if not gone or gone[0] not in files:
        raise no_entry(operation.path, head.oid)
    for path in gone:
        del files[path]


def _check(files: Files) -> None:
    if len(files) > MAX_FILES:
        raise bad(f"A revision has at most {MAX_FILES} files.")
    check_files(files)


def _next_request(db: sqlite3.Connection, repository: Repository) -> str:
    numbers = [int(row["name"].removeprefix(REQUESTS)) for row in refs(db, repository, REQUESTS)]
    return f"{REQUESTS}{max(numbers, default=0) + 1}"
