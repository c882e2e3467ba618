"""A copy of a Hub, taken while it serves: the database of one moment, and every blob that it needs."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from dragoman.errors import InputError
from dragoman_registry.atomic import flush
from dragoman_registry.hub.blobs import Blobs
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.locking import MAINTENANCE, SERVING, locked

__all__ = ["back_up"]

_PIECE = 4 << 20


def back_up(hub: Hub, target: Path) -> int:
    """Bring a backup up to date; only blobs that it does not have are copied, and each is hashed on the way.

    The database takes its place last: until then, the folder is the backup that it was before.

    Args:
        hub: what to copy.
        target: the folder of the backup, which ``hub serve`` can serve.

    Returns:
        Number of blobs that were copied.

    Raises:
        InputError: a blob is damaged or missing, or the target is in use or is the Hub itself.
    """
    if target.resolve() == hub.root.resolve():
        raise InputError(f"{target} is the Hub itself; name another folder for its backup.")
    with locked(hub.root, MAINTENANCE), locked(target, SERVING):
        blobs = Blobs(target)
        blobs.sweep()
        partial = blobs.partial / "hub.sqlite"
        needed = _copy_database(hub, partial)
        copied = sum(_copy_blob(hub.blobs, blobs, sha256, size) for sha256, size in needed)
        for leftover in ("hub.sqlite-wal", "hub.sqlite-shm"):
            (target / leftover).unlink(missing_ok=True)
        partial.replace(target / "hub.sqlite")
        flush(target)
    return copied


def _copy_database(hub: Hub, place: Path) -> list[tuple[str, int]]:
    """Copy the database; sha256 and size of the blobs that its commits need."""
    with closing(sqlite3.connect(place)) as copy:
        with hub.database.reading() as db:
            db.backup(copy)
        copy.execute("DELETE FROM xorbs")  # no xorbs are copied, so clients must send theirs again
        copy.execute("DELETE FROM holdings WHERE NOT committed")
        copy.execute("UPDATE repositories SET epoch = ? || id", (secrets.token_hex(8),))
        copy.commit()
        copy.execute("PRAGMA journal_mode = DELETE")
        needed = copy.execute("SELECT DISTINCT sha256, size FROM holdings").fetchall()
    os.chmod(place, 0o600)
    flush(place)
    return needed


def _copy_blob(source: Blobs, target: Blobs, sha256: str, size: int) -> bool:
    if target.size(sha256) == size:
        return False
    try:
        with source.path(sha256).open("rb", buffering=0) as file, target.writing() as writer:
            while piece := file.read(_PIECE):
                writer.write(piece)
            if writer.sha256 != sha256:
                raise InputError(f"{source.path(sha256)} is damaged: its content has sha256 {writer.sha256}.")
            writer.keep()
    except FileNotFoundError as error:
        raise InputError(f"{source.path(sha256)} is missing.") from error
    return True
