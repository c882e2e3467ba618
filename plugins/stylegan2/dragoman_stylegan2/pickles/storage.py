"""The memory of a tensor, as torch writes it into a plain pickle: its legacy file format, inside of bytes.

Five pickles (a magic number, a version, the writer's sizes, a reference to one storage, the keys of those that
follow), then for each key the number of elements as a little-endian 64-bit integer and the elements.
"""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import torch
from torch import Tensor

from dragoman_stylegan2.pickles.machine import Builder, RefusedError, run

__all__ = ["read_storage", "strided"]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST_DIMENSIONS = 8
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _StorageType(Builder):
    """The class of a storage: named, never called."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        super().__init__(name, self._refuse)
        self.dtype = dtype

    def _refuse(self, *arguments: object) -> None:
        raise RefusedError(f"it calls {self.name}")


_TABLE: dict[str, Builder] = {f"torch {name}": _StorageType(f"torch.{name}", dtype) for name, dtype in _DTYPES.items()}


def read_storage(blob: object) -> Tensor:
    """The elements of a storage, ``[N]``, in memory of their own.

    Raises:
        RefusedError: the bytes are no storage, are truncated, or claim more elements than they hold.
    """
    if not isinstance(blob, bytes):
        raise RefusedError(f"a tensor's memory is a {type(blob).__name__}, not bytes")
    source = io.BytesIO(blob)
    if run(source, {}) != _MAGIC or run(source, {}) != _VERSION:
        raise RefusedError("a tensor's memory is not in torch's legacy format")
    writer = run(source, {})
    if not isinstance(writer, dict) or writer.get("little_endian") is not True:
        raise RefusedError("a tensor's memory was not written by a little-endian machine")
    key, dtype, count = run(source, _TABLE, _reference)
    if run(source, {}) != [key]:
        raise RefusedError("a tensor's memory holds other storages than its own")
    return _elements(source.read(), dtype, count)


def _reference(value: object) -> tuple[str, torch.dtype, int]:
    """Key, type and size of what a file refers to."""
    if not isinstance(value, tuple) or len(value) != 6:
        raise RefusedError("a tensor's memory refers to something that is no storage")
    kind, storage_type, key, _device, count, view = value
    sound = kind == "storage" and isinstance(storage_type, _StorageType) and isinstance(key, str) and view is None
    if not sound or type(count) is not int or count < 0:
        raise RefusedError("a tensor's memory refers to something that is no storage")
    return key, storage_type.dtype, count


def _elements(raw: bytes, dtype: torch.dtype, count: int) -> Tensor:
    # torch compares neither: it would take memory for any number that is claimed.
    if len(raw) != 8 + count * dtype.itemsize or struct.unpack("<q", raw[:8])[0] != count:
        raise RefusedError(f"a tensor's memory claims {count:,} elements and has {max(len(raw) - 8, 0):,} bytes")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=dtype, offset=8)


def strided(
    storage: object, offset: object, size: object, stride: object, requires_grad: object, hooks: object, *rest: Any
) -> Tensor:
    """A tensor on its storage; not copied, so that naming it often costs nothing.

    Raises:
        RefusedError: an argument is of another kind, or the tensor would reach beyond its storage or be larger than it.
    """
    if not isinstance(storage, Tensor) or not _counts(size) or not _counts(stride) or not _counts((offset,)):
        raise RefusedError("it describes a tensor that cannot be")
    assert isinstance(size, tuple)
    assert isinstance(stride, tuple)
    assert isinstance(offset, int)
    if rest or len(size) != len(stride) or hooks or not isinstance(hooks, dict):
        raise RefusedError("it describes a tensor that cannot be")
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if math.prod(size) > len(storage) or (math.prod(size) and last >= len(storage)):
        raise RefusedError(f"it describes a tensor of shape {list(size)} in a memory of {len(storage):,} elements")
    return storage.as_strided(size, stride, offset)


def _counts(values: object) -> bool:
    if not isinstance(values, tuple) or len(values) > _MOST_DIMENSIONS:
        return False
    return all(type(value) is int and 0 <= value < 2**48 for value in values)
