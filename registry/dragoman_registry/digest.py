"""Digests: of bytes, to see whether a file arrived whole; of tensors, to see whether it is the same model.

The two differ because safetensors headers are not reproducible: metadata of two or more keys is written in the order
of a hash map, and sharding moves tensors between files. The digest of tensors covers content alone. It is the
SHA-256 over the tensors in the order of their names, each as one line of JSON ``[name, dtype, shape]`` and a newline,
followed by its bytes in row-major little-endian order. The length of the bytes follows from the line, so that no two
different sets of tensors give one stream.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman.errors import PackageError
from dragoman_registry.header import TensorEntry, read_header

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["digest_of_file", "digest_of_folder", "digest_of_tensors", "sha256_of_file"]

_CHUNK = 4 * 2**20
_PICKLE = "pytorch_model.bin"
_TORCH_TO_FORMAT = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
}


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits, in constant memory.

    Raises:
        PackageError: the file cannot be read.
    """
    return _sha256(_chunks(path, 0, None))


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digest of tensors in memory: ``"tensors-sha256:HEX"``, equal to that of a file they are saved to."""
    return "tensors-sha256:" + _sha256(_stream(tensors))


def digest_of_file(path: Path) -> str:
    """Digest of the tensors in one safetensors file, ``"tensors-sha256:HEX"``, in constant memory.

    Raises:
        PackageError: the file is missing, truncated or damaged.
    """
    return _digest_of_entries((entry, path) for entry in read_header(path).values())


def digest_of_folder(folder: Path) -> str:
    """Digest of an expert's weights, in constant memory.

    All safetensors files that stand directly in the folder count, however they are sharded. Where there is none, the
    bytes of ``pytorch_model.bin`` count instead (``"file-sha256:HEX"``): a pickle is not opened to be hashed. A folder
    without weights has the digest of no tensors.

    Raises:
        PackageError: a file is truncated or damaged.
    """
    files = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    if not files and (folder / _PICKLE).is_file():
        return "file-sha256:" + sha256_of_file(folder / _PICKLE)
    return _digest_of_entries((entry, path) for path in files for entry in read_header(path).values())


def _digest_of_entries(found: Iterable[tuple[TensorEntry, Path]]) -> str:
    # One name may stand in several files (variants of one model): then the files' names decide the order.
    entries = sorted(found, key=lambda pair: (pair[0].name, pair[1].name))
    return "tensors-sha256:" + _sha256(part for entry, path in entries for part in _entry_stream(entry, path))


def _stream(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    import torch

    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        yield _line(name, _TORCH_TO_FORMAT[str(tensor.dtype).removeprefix("torch.")], tuple(tensor.shape))
        yield tensor.reshape(-1).view(torch.uint8).numpy().data


def _entry_stream(entry: TensorEntry, path: Path) -> Iterator[bytes]:
    yield _line(entry.name, entry.dtype, entry.shape)
    yield from _chunks(path, entry.start, entry.end)


def _line(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    return json.dumps([name, dtype, list(shape)], separators=(",", ":")).encode() + b"\n"


def _chunks(path: Path, start: int, end: int | None) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            left = end - start if end is not None else None
            while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
                left = left - len(chunk) if left is not None else None
                yield chunk
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}.") from error


def _sha256(chunks: Iterable[bytes | memoryview]) -> str:
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
    return sha.hexdigest()
