"""Writing in threads, one piece behind: while a piece is hashed in one and written in another, the next one is made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from dragoman_registry.hub.blobs import BlobWriter

__all__ = ["WriteBehind"]

#: Bytes that are gathered before the threads are asked to take them; twice as many are in memory at most.
_PIECE = 1 << 20


class WriteBehind:
    """Hands pieces to a blob's writer, many at a time. What was written is there when the block has ended.

    Args:
        writer: of the blob.
    """

    def __init__(self, writer: BlobWriter) -> None:
        self._writer, self._gathered, self._size = writer, list[bytes](), 0
        self._pool = ThreadPoolExecutor(2)
        self._pending: list[Future[None]] = []

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._pool:  # which waits for the threads
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
        halves = (self._writer.hash, self._writer.store)
        self._pending = [self._pool.submit(_each, half, self._gathered) for half in halves]
        self._gathered, self._size = [], 0

    def _settle(self) -> None:
        for half in self._pending:
            half.result()


def _each(do: Callable[[bytes], None], pieces: list[bytes]) -> None:
    for piece in pieces:
        do(piece)
