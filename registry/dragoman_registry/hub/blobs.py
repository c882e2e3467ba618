"""Files by the sha256 of their content: written once, flushed, never changed."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from dragoman_registry.atomic import flush

__all__ = ["Batch", "BlobWriter", "Blobs"]

#: Files of a batch that are open at once, and those that are flushed at once.
_MOST_OPEN, _FLUSHES = 256, 16


class Blobs:
    """A folder of blobs, ``blobs/ab/abcd...``, and of unfinished ones, ``partial/``.

    Args:
        root: the folder of the Hub; the two folders are made when they are missing.
    """

    def __init__(self, root: Path) -> None:
        self.folder, self.partial = root / "blobs", root / "partial"
        self.partial.mkdir(parents=True, exist_ok=True)
        missing = [place for n in range(256) if not (place := self.folder / f"{n:02x}").is_dir()]
        for place in missing:
            place.mkdir(parents=True, exist_ok=True)
        if missing:
            flush(self.folder)
            flush(root)

    def path(self, sha256: str) -> Path:
        """Where a blob is, or would be."""
        return self.folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        """Bytes of a blob; None when it is not here."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def touch(self, sha256: str) -> bool:
        """Start the grace period of a blob again; False when it is not here."""
        try:
            os.utime(self.path(sha256))
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def writing(self) -> Iterator[BlobWriter]:
        """A blob to be; what :meth:`BlobWriter.keep` has not kept when the block ends is removed."""
        place = self.partial / secrets.token_hex(16)
        with place.open("xb", buffering=0) as file:
            try:
                yield BlobWriter(self, place, file)
            finally:
                place.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a crash left unfinished. Only for the one process that serves the folder, before it does."""
        for place in self.partial.iterdir():
            if place.is_file():
                place.unlink()


class BlobWriter:
    """Hashes what it writes. ``sha256`` and ``size`` are those of the bytes so far."""

    def __init__(self, blobs: Blobs, place: Path, file: BinaryIO) -> None:
        self._blobs, self._place, self._file = blobs, place, file
        self._hash, self.size = hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append.

        Raises:
            OSError: the disk is full.
        """
        self.hash(data)
        self.store(data)

    def hash(self, data: bytes | bytearray | memoryview) -> None:
        """The half of :meth:`write` that hashes, for callers that do both halves in threads of their own."""
        self._hash.update(data)
        self.size += len(data)

    def store(self, data: bytes | bytearray | memoryview) -> None:
        """The half of :meth:`write` that reaches the disk."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def keep(self) -> str:
        """Make it a blob under its hash, on the disk for good, and return the hash.

        A blob of that hash that was here is replaced: the bytes of this one are known to be right.

        Raises:
            OSError: the disk is full.
        """
        flush(self.place().parent)
        return self.sha256

    def place(self) -> Path:
        """Flush it and give it its name, which lasts once its folder is flushed too."""
        os.fsync(self._file.fileno())
        os.fchmod(self._file.fileno(), 0o444)
        path = self._blobs.path(self.sha256)
        self._place.rename(path)
        return path


class Batch:
    """Many small blobs, flushed together: a disk flushes sixteen files at once in the time of one.

    They are blobs for good when the block ends; when an exception leaves it, some may be, and nothing refers to them.

    Args:
        blobs: where.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs, self._known = blobs, set[str]()
        self._open = ExitStack()
        self._waiting: list[BlobWriter] = []

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._open:
            if error is None:
                self._settle()

    def add(self, content: bytes) -> str:
        """Write a blob, and return its hash.

        Raises:
            OSError: the disk is full.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._known:
            writer = self._open.enter_context(self._blobs.writing())
            writer.write(content)
            self._waiting.append(writer)
            self._known.add(sha256)
            if len(self._waiting) >= _MOST_OPEN:
                self._settle()
        return sha256

    def _settle(self) -> None:
        with self._open, ThreadPoolExecutor(_FLUSHES) as pool:
            folders = {path.parent for path in pool.map(BlobWriter.place, self._waiting)}
            list(pool.map(flush, folders))
        self._waiting.clear()
