"""Garbage collection: what no branch, tag or pull request leads to goes, after a grace period, also while serving."""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from dragoman_registry.hub import audit
from dragoman_registry.hub.history import RETIRED
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.locking import MAINTENANCE, locked
from dragoman_registry.hub.trees import tree_keys

__all__ = ["Collected", "collect"]


@dataclass(frozen=True)
class Collected:
    """What was removed: commits, blobs, and bytes of blobs and xorbs."""

    commits: int
    blobs: int
    bytes: int


def collect(hub: Hub, grace: float) -> Collected:
    """Remove what nothing leads to.

    The database forgets first, and the bytes go after that is on the disk: a crash in between leaves bytes that the
    next collection finds. Nobody commits while bytes go, so what was looked at stays true.

    Args:
        hub: where.
        grace: seconds; what is younger stays, because its commit may be on the way.

    Raises:
        InputError: another collection or backup works on the folder.
    """
    with locked(hub.root, MAINTENANCE):
        before = time.time() - grace
        with hub.database.writing() as db:
            commits = _forget(db, before)
        with hub.database.writing() as db:
            held = {sha256 for (sha256,) in db.execute("SELECT DISTINCT sha256 FROM holdings")}
            blobs = [path for path in hub.blobs.folder.glob("??/*") if path.name not in held]
            sizes = [_remove(path, before) for path in blobs]
            freed = sum(sizes) + _drop_xorbs(db, hub, before)
            removed = sum(size > 0 for size in sizes)
            audit.record(db, "", "collect", str(hub.root), commits=commits, blobs=removed, bytes=freed)
    return Collected(commits, removed, freed)


def _forget(db: sqlite3.Connection, before: float) -> int:
    commits = 0
    trees: set[str] = set()
    alive: set[str] = set()
    for (repository,) in db.execute("SELECT id FROM repositories").fetchall():
        commits += _forget_commits(db, repository, before)
        kept: set[str] = set()
        seen: set[str] = set()
        for (tree,) in db.execute("SELECT DISTINCT tree FROM commits WHERE repository = ?", (repository,)).fetchall():
            tree_keys(db, tree, seen, kept)
        _forget_holdings(db, repository, kept, before)
        trees |= seen
        alive |= kept
    stale = [(key,) for (key,) in db.execute("SELECT key FROM trees") if key not in trees]
    db.executemany("DELETE FROM trees WHERE key = ?", stale)
    gone = [(sha256,) for (sha256,) in db.execute("SELECT sha256 FROM tensors") if sha256 not in alive]
    db.executemany("DELETE FROM tensors WHERE sha256 = ?", gone)
    return commits


def _forget_commits(db: sqlite3.Connection, repository: int, before: float) -> int:
    query = """
        WITH RECURSIVE reached (oid) AS (
            SELECT target FROM refs WHERE repository = :id AND substr(name, 1, :length) != :retired UNION
            SELECT parent FROM reached JOIN commits USING (oid) WHERE repository = :id AND parent IS NOT NULL)
        DELETE FROM commits WHERE repository = :id AND created < :before AND oid NOT IN (SELECT oid FROM reached)"""
    values = {"id": repository, "length": len(RETIRED), "retired": RETIRED, "before": before}
    db.execute(query, values)
    gone: int = db.execute("SELECT changes()").fetchone()[0]
    return gone


def _forget_holdings(db: sqlite3.Connection, repository: int, kept: set[str], before: float) -> None:
    rows = db.execute("SELECT sha256 FROM holdings WHERE repository = ? AND time < ?", (repository, before))
    gone = [(repository, sha256) for (sha256,) in rows if sha256 not in kept]
    db.executemany("DELETE FROM holdings WHERE repository = ? AND sha256 = ?", gone)
    if gone:
        _forget_xet(db, repository)


def _forget_xet(db: sqlite3.Connection, repository: int) -> None:
    """Clients remember by the epoch which chunks they sent; with a new one they send all again."""
    db.execute("DELETE FROM xorbs WHERE repository = ?", (repository,))
    db.execute("UPDATE repositories SET epoch = ? WHERE id = ?", (secrets.token_hex(8), repository))


def _drop_xorbs(db: sqlite3.Connection, hub: Hub, before: float) -> int:
    freed = 0
    for path in hub.xorbs.iterdir():
        if size := _remove(path, before):
            freed += size
            _forget_xet(db, int(path.name.partition("-")[0]))
    return freed


def _remove(path: Path, before: float) -> int:
    facts = path.stat()
    if facts.st_mtime >= before:
        return 0
    path.unlink()
    return facts.st_size
