"""The header of a safetensors file, checked before any library opens the file.

The format: a little-endian u64 with the header's length, the header (a JSON object from tensor names to dtype, shape
and byte range), the data. The library accepts more than a model needs: 100 MB of header, millions of tensors, one
name twice, names with control characters. All of that is refused here, at the cost of reading the header once.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dragoman.errors import PackageError
from dragoman_registry.strict import Fields, parse_json

__all__ = ["MAX_HEADER", "MAX_TENSORS", "TensorEntry", "parse_header", "read_header"]

#: Largest header that is read, in bytes: what the Hub's own remote parser accepts.
MAX_HEADER = 25_000_000
#: Largest number of tensors in a file.
MAX_TENSORS = 100_000

_NAME = re.compile(r"[!-~]{1,256}")  # printable ASCII without the space
_MAX_RANK = 16
_ELEMENT_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file.

    Attributes:
        name: the tensor's name.
        dtype: the format's name of the element type, such as ``"F32"``.
        shape: sizes.
        start: offset of its first byte in the file.
        end: offset after its last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file, by name, in the order of their bytes.

    Raises:
        PackageError: the file is missing, truncated or damaged, or breaks a limit; the sentence names the file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            raw = _header_bytes(file, size, path)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}.") from error
    return _parsed(raw, size, path)


def parse_header(read: Callable[[int, int], bytes], size: int, where: str) -> dict[str, TensorEntry]:
    """The tensors of a safetensors file that is elsewhere, from its first bytes alone.

    Args:
        read: gives the bytes from one offset up to another.
        size: of the whole file, in bytes.
        where: the file, for messages.

    Raises:
        PackageError: the header is damaged or breaks a limit; the sentence names the file.
    """
    path = Path(where)
    prefix = read(0, 8)
    length = _length(prefix, size, path)
    return _parsed(_checked(read(8, 8 + length), length, path), size, path)


def _parsed(raw: bytes, size: int, path: Path) -> dict[str, TensorEntry]:
    entries = _entries(raw, path)
    _check_ranges(entries, 8 + len(raw), size, path)
    return {entry.name: entry for entry in entries}


def _header_bytes(file: BinaryIO, size: int, path: Path) -> bytes:
    length = _length(file.read(8), size, path)
    return _checked(file.read(length), length, path)


def _length(prefix: bytes, size: int, path: Path) -> int:
    length: int = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if len(prefix) < 8 or length > size - 8:
        raise _damaged(path, "is truncated or no safetensors file")
    if length > MAX_HEADER:
        raise PackageError(f"{path} has a header of {length:,} bytes; at most {MAX_HEADER:,} are read.")
    return length


def _checked(raw: bytes, length: int, path: Path) -> bytes:
    if len(raw) != length or not raw.startswith(b"{"):
        raise _damaged(path, "has no safetensors header")
    return raw


def _entries(raw: bytes, path: Path) -> list[TensorEntry]:
    where = f"The header of {path}"
    header = parse_json(raw, where, max_bytes=MAX_HEADER, max_depth=3)
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise PackageError(f"{path} holds {len(header):,} tensors; at most {MAX_TENSORS:,} are read.")
    entries = [_entry(name, value, 8 + len(raw), path) for name, value in header.items()]
    return sorted(entries, key=lambda entry: (entry.start, entry.end))


def _entry(name: str, value: object, offset: int, path: Path) -> TensorEntry:
    if not _NAME.fullmatch(name) or ".." in name or name.startswith("/") or "\\" in name:
        raise PackageError(f"{path} holds a tensor with an unusable name: {name[:80]!r}.")
    fields = Fields(value, f"Tensor {name!r} of {path}")
    dtype = fields.text("dtype")
    shape, span = fields.array("shape"), fields.array("data_offsets")
    fields.done()
    sizes = [*shape, *span]
    if any(type(number) is not int or not 0 <= number < 2**63 for number in sizes) or len(span) != 2:
        raise _damaged(path, f"describes tensor {name!r} with sizes that cannot be")
    if dtype not in _ELEMENT_BYTES or len(shape) > _MAX_RANK:
        raise PackageError(f"{path} holds tensor {name!r} of unknown type {dtype!r} or of rank {len(shape)}.")
    entry = TensorEntry(name, dtype, tuple(shape), offset + span[0], offset + span[1])
    if entry.elements * _ELEMENT_BYTES[dtype] != span[1] - span[0]:
        raise _damaged(path, f"gives tensor {name!r} a byte range that is not its size")
    return entry


def _check_ranges(entries: list[TensorEntry], start: int, size: int, path: Path) -> None:
    for entry in entries:
        if entry.start != start:
            raise _damaged(path, f"has a hole or an overlap before tensor {entry.name!r}")
        start = entry.end
    if start != size:
        raise _damaged(path, f"is truncated or overlong: {size:,} bytes instead of {start:,}")


def _damaged(path: Path, what: str) -> PackageError:
    return PackageError(f"{path} {what}; it is damaged, fetch or save it again.")
