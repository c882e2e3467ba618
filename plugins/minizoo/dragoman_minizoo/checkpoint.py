"""Reading and writing of the mini experts' checkpoints: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dragoman.errors import PackageError

__all__ = ["halve", "load_into", "read_config", "write"]


def read_config(folder: Path, model_type: str) -> dict[str, Any]:
    """``config.json`` of a checkpoint of the given ``model_type``.

    Raises:
        PackageError: it is missing, unreadable, or of another type.
    """
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read: {error}.") from error
    if config.get("model_type") != model_type:
        raise PackageError(f"{path} describes a {config.get('model_type')!r}, not a {model_type!r}.")
    return config


def load_into(module: nn.Module, folder: Path) -> None:
    """Load ``model.safetensors`` into a module, in float32; every tensor has to be there and nothing else.

    Raises:
        PackageError: the file is missing, damaged, or of another architecture.
    """
    path = folder / "model.safetensors"
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{path} is missing or damaged: {error}; install dragoman-minizoo again.") from error
    except RuntimeError as error:
        raise PackageError(f"{path} does not belong to its config.json: {' '.join(str(error).split())}") from error


def write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint; floating-point tensors are stored as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config), indent=2) + "\n", encoding="utf-8")
    save_file(_halved(tensors), folder / "model.safetensors")


def halve(folder: Path) -> None:
    """Store the weights of a checkpoint of any layout as float16, at half the size; they are read as float32."""
    path = folder / "model.safetensors"
    save_file(_halved(load_file(path)), path, {"format": "pt"})


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in tensors.items()
    }
