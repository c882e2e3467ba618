"""The SQLite file: everything but the bytes of files. A transaction that returned survives a crash of the machine."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dragoman.errors import InputError

__all__ = ["Database"]

VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE, user TEXT NOT NULL, scope TEXT NOT NULL,
    label TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL);
CREATE TABLE members (organization TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (user, organization)) WITHOUT ROWID;
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    owner TEXT NOT NULL, folded TEXT NOT NULL, private INTEGER NOT NULL,
    created REAL NOT NULL, modified REAL NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]', card TEXT NOT NULL DEFAULT '{}', epoch TEXT NOT NULL, UNIQUE (type, folded));
CREATE INDEX repositories_type ON repositories (type);
CREATE INDEX repositories_modified ON repositories (type, modified, id);
CREATE TABLE tags (
    tag TEXT NOT NULL, repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    PRIMARY KEY (tag, repository)) WITHOUT ROWID;
CREATE INDEX tags_repository ON tags (repository);
CREATE TABLE refs (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, name TEXT NOT NULL, target TEXT NOT NULL,
    message TEXT, created REAL NOT NULL, PRIMARY KEY (repository, name)) WITHOUT ROWID;
CREATE TABLE commits (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, oid TEXT NOT NULL, parent TEXT,
    tree TEXT NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL, author TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (repository, oid)) WITHOUT ROWID;
CREATE TABLE trees (key TEXT PRIMARY KEY, oid TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE holdings (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    committed INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (repository, sha256)) WITHOUT ROWID;
CREATE INDEX holdings_sha256 ON holdings (sha256);
CREATE TABLE xorbs (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, hash TEXT NOT NULL, body BLOB NOT NULL,
    time REAL NOT NULL, PRIMARY KEY (repository, hash)) WITHOUT ROWID;
CREATE TABLE tensors (sha256 TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, detail TEXT NOT NULL);
"""


class Database:
    """Connections to one file, used by many threads and, with the command line, by several processes.

    Args:
        path: the file; it is made when it is missing.

    Raises:
        InputError: the file was written by a newer version, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._writer = threading.Lock()
        try:
            with self.writing() as db:
                _prepare(db, path)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} cannot be used as the database of a Hub: {error}.") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database until the block ends."""
        with self._connection() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The only writer: what it did is on the disk when the block ends, and undone when an exception leaves it."""
        with self._writer, self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the idle connections; the last one folds the write-ahead log into the file."""
        while not self._idle.empty():
            self._idle.get().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._idle.get_nowait()
        except queue.Empty:
            db = _connect(self.path)
        try:
            yield db
        finally:
            self._idle.put(db)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise InputError(f"{path} was written by a newer version of Dragoman; upgrade to serve it.")
    if version == 0:
        for statement in SCHEMA.split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
