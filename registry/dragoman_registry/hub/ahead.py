"""Writing in a thread, one piece behind: while a piece is hashed and written, the next one is made."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from dragoman_registry.hub.blobs import BlobWriter

__all__ = ["WriteBehind"]

#: Bytes that are gathered before the thread is asked to write them; twice as many are in memory at most.
_PIECE = 1 << 20


class WriteBehind:
    """Hands pieces to a blob's writer, many at a time. What was written is there when the block has ended.

    Args:
        writer: of the blob.
    """

    def __init__(self, writer: BlobWriter) -> None:
        self._writer, self._gathered, self._size = writer, list[bytes](), 0
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._pool:  # which waits for the thread
            if kind is None:
                self._hand_over()
                self._settle()

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            OSError: the disk is full; this piece or one before it could not be written.
        """
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self._hand_over()

    def _hand_over(self) -> None:
        self._settle()
        self._pending = self._pool.submit(self._write, self._gathered)
        self._gathered, self._size = [], 0

    def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._writer.write(piece)

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
