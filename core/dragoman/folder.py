"""A network in a folder, in our own layout: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dragoman.atomic import replacing
from dragoman.errors import InputError, PackageError
from dragoman.weights import SAFETENSORS, check_finite, load_tensors, read_json

__all__ = ["fill", "read_folder", "write_folder"]

CONFIG = "config.json"


def read_folder(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the weights.

    Args:
        folder: where they are.
        kind: what the folder is to hold, for the sentence (``"style model"``).

    Raises:
        PackageError: files are missing or damaged.
    """
    config, tensors = read_json(folder / CONFIG, kind), load_tensors(folder)
    check_finite(folder, tensors)
    return config, tensors


def fill(network: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Weights into a network.

    Raises:
        PackageError: they are not those of the network.
    """
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise PackageError(f"The weights in {folder} do not fit their config.json: {reason}.") from error


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files; neither takes the place of an old one before both are written whole.

    Raises:
        InputError: the folder cannot be written, as on a full disk.
        PackageError: a weight is not finite.
    """
    from safetensors.torch import save

    check_finite(folder, tensors)
    weights = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {"format": "pt"})
    files = {CONFIG: (json.dumps(dict(config), indent=2) + "\n").encode(), SAFETENSORS: weights}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as both:  # ends with the last one first: the configuration takes its place last
            for name, data in files.items():
                file = both.enter_context(replacing(folder / name))
                file.write(data)
                file.flush()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error
