"""Locks between processes on the folder of a Hub; a process that dies lets go of its own."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dragoman.errors import InputError

__all__ = ["MAINTENANCE", "SERVING", "locked"]

#: Held by the server, which alone may sweep unfinished uploads, and by what removes or copies blobs.
SERVING, MAINTENANCE = "serving.lock", "maintenance.lock"


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold a lock until the block ends.

    Raises:
        InputError: another process holds it, or the folder cannot be used.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (root / name).open("w")
    except OSError as error:
        raise InputError(f"{root} cannot be the folder of a Hub: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            what = "server" if name == SERVING else "garbage collection or backup"
            raise InputError(f"Another {what} works on {root}; wait for it, or end it.") from error
        yield
