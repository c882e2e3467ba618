"""Tensors to and from safetensors files, checked on both ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dragoman.errors import PackageError
from dragoman_registry.atomic import write_file
from dragoman_registry.header import read_header

__all__ = ["check_finite", "load_tensors", "narrowed", "save_tensors"]

# One key only: the order of several is not reproducible, and then neither are the file's bytes.
_METADATA = {"format": "pt"}


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors; the same tensors give the same bytes.

    Raises:
        PackageError: a value is NaN or infinite.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save

    check_finite(tensors, path.name)
    # Tied tensors share memory, which the format refuses; a copy of each does not.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Not the library's save_file: its files can be read by nobody but who wrote them.
    write_file(path, save(copies, metadata=_METADATA))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        PackageError: the file is missing, truncated or damaged, breaks a limit, or holds NaN or infinity.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_header(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise PackageError(f"{path} cannot be read: {error}; it is damaged, fetch or save it again.") from error
    check_finite(tensors, str(path))
    return tensors


def narrowed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, as float16 where they are float32, if none of them loses a bit by that.

    Weights that were rounded to half precision take half the room so, and are read back as they were.
    """
    halves = {name: value.half() if value.dtype == torch.float32 else value for name, value in tensors.items()}
    exact = all(torch.equal(half.to(tensors[name].dtype), tensors[name]) for name, half in halves.items())
    return halves if exact else dict(tensors)


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise if any value is NaN or infinite.

    Raises:
        PackageError: the sentence names the tensor.
    """
    for name, tensor in tensors.items():
        # torch cannot ask this of the 8-bit types themselves.
        values = tensor.float() if tensor.dtype.itemsize == 1 else tensor
        broken = values.numel() - int(torch.isfinite(values).sum())
        if broken:
            raise PackageError(
                f"Tensor {name!r} of {where} holds {broken:,} values that are NaN or infinite;"
                " such a model is of no use, go back to a sound checkpoint."
            )
