"""Which repository holds which bytes. A hash is not a permission: knowing one does not give the bytes.

A caller may refer to bytes without sending them only where they could read them anyway, or where somebody sent them to
the very repository that they are to be committed to, which the caller can write.
"""

from __future__ import annotations

import sqlite3
import time

from dragoman_registry.hub.blobs import Blobs
from dragoman_registry.hub.repositories import Repository
from dragoman_registry.hub.tokens import Caller

__all__ = ["hold", "may_refer"]


def hold(db: sqlite3.Connection, repository: int, sha256: str, size: int, *, committed: bool) -> None:
    """Remember that the bytes were sent to the repository of an id, and whether a commit has them."""
    db.execute(
        "INSERT INTO holdings VALUES (?, ?, ?, ?, ?) ON CONFLICT (repository, sha256) DO UPDATE"
        " SET committed = max(committed, excluded.committed), time = excluded.time",
        (repository, sha256, size, committed, time.time()),
    )


def may_refer(db: sqlite3.Connection, blobs: Blobs, caller: Caller, repository: Repository, sha256: str) -> int | None:
    """Bytes of a blob that the caller may commit to the repository without sending it again, else None."""
    owned = caller.namespaces
    marks = ",".join("?" * len(owned))
    query = f"""
        SELECT 1 FROM holdings JOIN repositories ON id = repository WHERE sha256 = ? AND (
            repository = ? OR (committed AND (private = 0 OR owner IN ({marks}) OR ?))) LIMIT 1"""
    if db.execute(query, (sha256, repository.id, *owned, caller.admin)).fetchone() is None:
        return None
    return blobs.size(sha256) if blobs.touch(sha256) else None
