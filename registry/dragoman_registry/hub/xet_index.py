"""Chunks of xet uploads: in xorbs that were just sent, or in the files that were made of them before.

Clients remember which xorbs they sent and do not send them again. A xorb is dropped when all its chunks are in files;
from then on an index finds them there. Xorbs and index belong to one repository: chunks sent to another one, perhaps
by somebody else, cannot be referred to.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeAlias

from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.refusal import bad
from dragoman_registry.hub.xet_format import Chunk, Term, decode, scan_xorb

__all__ = ["Assembler", "xorb_path"]

#: Where a chunk is: sha256 of the file, offset, length.
Place: TypeAlias = tuple[str, int, int]


def xorb_path(hub: Hub, repository: int, xorb: str) -> Path:
    """Where a xorb of a repository is kept until its chunks are in files."""
    return hub.xorbs / f"{repository}-{xorb}"


class Assembler:
    """Finds the chunks of terms. To be closed; files stay open until then.

    Args:
        hub: where.
        repository: id of the repository that they were sent to.
    """

    def __init__(self, hub: Hub, repository: int) -> None:
        self._hub, self._repository = hub, repository
        self._xorbs: dict[str, tuple[BinaryIO, list[Chunk]] | None] = {}
        self._places: dict[str, dict[int, Place]] = {}
        self._blobs: dict[str, BinaryIO] = {}

    def __enter__(self) -> Assembler:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for xorb in self._xorbs.values():
            if xorb is not None:
                xorb[0].close()
        for blob in self._blobs.values():
            blob.close()

    def chunk(self, xorb: str, number: int) -> bytes:
        """One chunk.

        Raises:
            RequestError: it was never sent to this repository, or is damaged.
        """
        found = self._open(xorb)
        if found is not None:
            file, chunks = found
            if number >= len(chunks):
                raise bad("The shard refers to a chunk that its xorb does not have.")
            file.seek(chunks[number].offset)
            return decode(file.read(chunks[number].packed), chunks[number])
        return self._from_blob(xorb, number)

    def placed(self, sha256: str, terms: tuple[Term, ...], lengths: list[int]) -> None:
        """Note where the chunks of terms are now that they make up a file; ``lengths`` is in their order."""
        offset, sizes = 0, iter(lengths)
        for term in terms:
            places = self._index(term.xorb)
            for number in range(term.start, term.end):
                size = next(sizes)
                places.setdefault(number, (sha256, offset, size))
                offset += size

    def save(self, db: sqlite3.Connection) -> None:
        """Keep the index."""
        for xorb, places in self._places.items():
            body = json.dumps(sorted((number, *place) for number, place in places.items())).encode()
            row = (self._repository, xorb, body, time.time())
            db.execute("INSERT OR REPLACE INTO xorbs VALUES (?, ?, ?, ?)", row)

    def drop(self) -> None:
        """Remove the xorbs that the saved index replaces; one with chunks that are in no file yet stays."""
        for xorb, found in self._xorbs.items():
            if found is not None and len(self._places.get(xorb, {})) == len(found[1]):
                xorb_path(self._hub, self._repository, xorb).unlink(missing_ok=True)

    def _open(self, xorb: str) -> tuple[BinaryIO, list[Chunk]] | None:
        if xorb not in self._xorbs:
            try:
                file = xorb_path(self._hub, self._repository, xorb).open("rb", buffering=0)
            except FileNotFoundError:
                self._xorbs[xorb] = None
            else:
                self._xorbs[xorb] = file, scan_xorb(file)
        return self._xorbs[xorb]

    def _index(self, xorb: str) -> dict[int, Place]:
        if xorb not in self._places:
            query = "SELECT body FROM xorbs WHERE repository = ? AND hash = ?"
            with self._hub.database.reading() as db:
                row = db.execute(query, (self._repository, xorb)).fetchone()
            rows = json.loads(row["body"]) if row else []
            self._places[xorb] = {number: (sha256, offset, size) for number, sha256, offset, size in rows}
        return self._places[xorb]

    def _from_blob(self, xorb: str, number: int) -> bytes:
        place = self._index(xorb).get(number)
        if place is None:
            raise bad("The shard refers to a chunk that was not sent to this repository.")
        sha256, offset, size = place
        try:
            if sha256 not in self._blobs:
                self._blobs[sha256] = self._hub.blobs.path(sha256).open("rb")
        except FileNotFoundError as error:
            raise bad("The shard refers to a chunk that was collected; clear the client's xet cache.") from error
        self._blobs[sha256].seek(offset)
        return self._blobs[sha256].read(size)
