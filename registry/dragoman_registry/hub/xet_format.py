"""The two binary formats of xet uploads (huggingface.co/docs/xet), read as what they are: input from strangers.

A *xorb* is a row of chunks, each with a header of 8 bytes: version 0, compressed length (3 bytes, little-endian),
scheme, raw length (3 bytes). A *shard* says of which chunks of which xorbs each file is made. It has records of 48
bytes: a header, then for each file a head, its terms, optional verification records and its sha256, and at the end a
record that starts with 32 bytes of ones.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO

from dragoman_registry.hub.refusal import bad

__all__ = ["Chunk", "FileRecipe", "Term", "decode", "hash_text", "read_shard", "scan_xorb"]

_RECORD = 48
_END = b"\xff" * 32
_WITH_VERIFICATION, _WITH_SHA256 = 1 << 31, 1 << 30
_FOOTER = b"XETBLOB"
_PLAIN, _LZ4, _GROUPED = 0, 1, 2
_MAX_CHUNKS = 64 << 10
#: Largest chunk in bytes: twice what clients cut.
_MAX_RAW = 256 << 10


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in a xorb, and what it decodes to; ``offset`` is that of its compressed bytes."""

    offset: int
    packed: int
    scheme: int
    raw: int


@dataclass(frozen=True)
class Term:
    """Chunks ``start`` to ``end`` (exclusive) of a xorb, ``size`` bytes when decoded."""

    xorb: str
    start: int
    end: int
    size: int


@dataclass(frozen=True)
class FileRecipe:
    """A file by its sha256 and the terms that make it up, in order."""

    sha256: str
    terms: tuple[Term, ...]


def hash_text(raw: bytes) -> str:
    """How xet prints 32 bytes: as four little-endian integers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def scan_xorb(file: BinaryIO) -> list[Chunk]:
    """The chunks of a xorb.

    Raises:
        RequestError: it is no xorb, or has too many chunks or too large ones.
    """
    chunks: list[Chunk] = []
    size, offset = file.seek(0, 2), 0
    while offset < size and len(chunks) <= _MAX_CHUNKS:
        file.seek(offset)
        header = file.read(8)
        if header.startswith(_FOOTER):
            return chunks
        if len(header) < 8 or header[0] != 0:
            raise bad("The xorb is damaged: a chunk has no header.")
        packed, raw = int.from_bytes(header[1:4], "little"), int.from_bytes(header[5:8], "little")
        if not 0 < raw <= _MAX_RAW or offset + 8 + packed > size:
            raise bad("The xorb is damaged: a chunk has an impossible length.")
        chunks.append(Chunk(offset + 8, packed, header[4], raw))
        offset += 8 + packed
    if not chunks or len(chunks) > _MAX_CHUNKS:
        raise bad(f"A xorb has 1 to {_MAX_CHUNKS} chunks.")
    return chunks


def decode(packed: bytes, chunk: Chunk) -> bytes:
    """The bytes of a chunk.

    Raises:
        RequestError: they do not decode to the length that the header says.
    """
    if chunk.scheme == _PLAIN:
        raw = packed
    elif chunk.scheme in (_LZ4, _GROUPED):
        raw = _unpack(packed, chunk.raw)
    else:
        raise bad(f"A chunk is compressed by the unknown scheme {chunk.scheme}.")
    if len(raw) != chunk.raw:
        raise bad("The xorb is damaged: a chunk does not decode to its length.")
    return _ungroup(raw) if chunk.scheme == _GROUPED else raw


def _unpack(packed: bytes, length: int) -> bytes:
    try:
        raw: bytes = _lz4().LZ4FrameDecompressor().decompress(packed, max_length=length + 1)
    except RuntimeError as error:
        raise bad("The xorb is damaged: a chunk does not decompress.") from error
    return raw


@cache
def _lz4() -> Any:
    return importlib.import_module("lz4.frame")


def _ungroup(grouped: bytes) -> bytes:
    raw, start = bytearray(len(grouped)), 0
    for place in range(4):
        length = (len(grouped) - place + 3) // 4
        raw[place::4] = grouped[start : start + length]
        start += length
    return bytes(raw)


def read_shard(file: BinaryIO) -> Iterator[FileRecipe]:
    """The files that a shard describes.

    Raises:
        RequestError: it is no shard, or does not say the sha256 of a file.
    """
    _record(file)
    while not (record := _record(file)).startswith(_END):
        flags, count = struct.unpack_from("<II", record, 32)
        if count > 1 << 22:
            raise bad("The shard is damaged: a file has millions of terms.")
        terms = tuple(_term(_record(file)) for _ in range(count))
        if flags & _WITH_VERIFICATION:
            for _ in range(count):
                _record(file)
        if not flags & _WITH_SHA256:
            raise bad("The shard does not say the sha256 of a file.")
        yield FileRecipe(hash_text(_record(file)[:32]), terms)


def _term(record: bytes) -> Term:
    _, size, start, end = struct.unpack_from("<4I", record, 32)
    if not start < end <= _MAX_CHUNKS:
        raise bad("The shard is damaged: a term has no chunks.")
    return Term(hash_text(record[:32]), start, end, size)


def _record(file: BinaryIO) -> bytes:
    record = file.read(_RECORD)
    if len(record) < _RECORD:
        raise bad("The shard is cut short.")
    return record
