"""Replacing a folder as a whole: at every moment there is either the old one or the new one, complete.

The new folder is written beside the old one, flushed to the disk, and exchanged with it by one system call. Where
that call does not exist, two renames do it, with the old folder kept beside until the second has happened.
"""

from __future__ import annotations

import ctypes
import glob
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["flush", "recover", "replace_file", "replacing", "write_file"]

_STALE_SECONDS = 3600
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder`` that takes its place when the block ends without an exception.

    Raises:
        OSError: the disk is full, or the place cannot be written.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    fresh = folder.parent / f"{_prefix(folder)}{secrets.token_hex(8)}.saving"
    fresh.mkdir()
    try:
        yield fresh
        for place, _, _ in os.walk(fresh):
            flush(Path(place))
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk.

    Raises:
        OSError: the disk is full, or the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
    flush(path)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that takes the place of ``path`` as a whole; others may do the same at the same time.

    Raises:
        OSError: the disk is full, or the place cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.saving")
    try:
        write_file(fresh, content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    flush(path.parent)


def flush(path: Path) -> None:
    """Force a file or the entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recover(folder: Path) -> None:
    """Put back what :func:`replacing` had set aside when it was killed between its two renames."""
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        aside.rename(folder)


def _put_in_place(fresh: Path, folder: Path) -> None:
    recover(folder)
    if not folder.exists():
        fresh.rename(folder)
    elif not _exchange(fresh, folder):
        aside = _aside(folder)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        try:
            fresh.rename(folder)
        finally:
            recover(folder)
        shutil.rmtree(aside, ignore_errors=True)
    flush(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders atomically; false where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sweep(folder: Path) -> None:
    """Remove what killed savings left behind; others may be at work right now."""
    for left in folder.parent.glob(f"{glob.escape(_prefix(folder))}*.saving"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _prefix(folder: Path) -> str:
    return f".{folder.name}."


def _aside(folder: Path) -> Path:
    return folder.parent / f"{_prefix(folder)}replaced"
