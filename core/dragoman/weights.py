"""Checkpoints of other libraries in a folder: their ``config.json`` and weights, or one sentence that says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.errors import PackageError

__all__ = ["check_finite", "failures_named", "has_safetensors", "load_tensors", "read_json"]

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        kind: what the folder is to be, for the sentence (``"CLIP checkpoint"``).

    Raises:
        PackageError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackageError(f"{path.parent} is no {kind}: it holds no {path.name}.") from error
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read: {_one_line(error)}.") from error
    if not isinstance(content, dict):
        raise PackageError(f"{path} holds no JSON object.")
    return content


def has_safetensors(folder: Path) -> bool:
    """Whether the weights are safetensors; otherwise they are a ``pytorch_model.bin``. Both may be sharded.

    Raises:
        PackageError: there are neither.
    """
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).is_file() or (folder / f"{name}.index.json").is_file():
            return name == SAFETENSORS
    raise PackageError(f"{folder} holds no weights: neither {SAFETENSORS} nor {PICKLED}.")


def load_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint in one file, on the CPU; nothing but tensors is unpickled.

    Raises:
        PackageError: there are no weights, or they are damaged.
    """
    from safetensors.torch import load_file

    safe = has_safetensors(folder)
    with failures_named("weights", folder):
        if safe:
            return load_file(folder / SAFETENSORS)
        tensors: dict[str, Tensor] = torch.load(folder / PICKLED, map_location="cpu", weights_only=True)
        return tensors


def check_finite(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        PackageError: a tensor has one; the sentence names it.
    """
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise PackageError(f"The weights in {folder} are damaged: {name} holds values that are not finite.")


@contextmanager
def failures_named(what: str, folder: Path) -> Iterator[None]:
    """Turn whatever goes wrong into one sentence about ``what`` in ``folder``.

    Which exception a damaged file causes depends on the library and the file, so all of them are caught here.
    """
    try:
        yield
    except PackageError:
        raise
    except Exception as error:
        raise PackageError(f"The {what} in {folder} cannot be loaded: {_one_line(error)}.") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 200 else text[:200] + "...").rstrip(".!")
