"""Checkpoints of both families: reading one from a local folder, or saying in one sentence why not; writing one.

A folder holds ``config.json`` and one file of weights: ``model.safetensors``, ``pytorch_model.bin`` (of
pytorch-pretrained-BigGAN), ``G_ema.pth`` or ``G.pth`` (of BigGAN-PyTorch), the first of these that exists.

For BigGAN-deep ``config.json`` is that of pytorch-pretrained-BigGAN. BigGAN-PyTorch writes none; beside its files
belongs ``PlainConfig.published(128).to_dict()`` (or 256) as JSON::

    {"resolution": 128, "channels": 96, "generator": [16, 16, 8, 4, 2, 1], "z_dim": 120, "shared_dim": 128,
     "num_classes": 1000, "attention": [64], "image_channels": 3, "bn_eps": 1e-5, "sn_eps": 1e-6}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import PackageError
from dragoman_biggan.families import DEEP, PLAIN, family_of
from dragoman_registry.strict import parse_json
from dragoman_registry.tensors import check_finite, load_tensors

__all__ = ["load_network", "read_config"]

_CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "G_ema.pth", "G.pth")


def read_config(folder: Path) -> dict[str, Any]:
    """The object in a folder's ``config.json``.

    Raises:
        PackageError: the file is missing or holds no JSON object.
    """
    path = folder / _CONFIG
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        hint = "beside files of BigGAN-PyTorch belongs PlainConfig.published(128).to_dict() as JSON"
        raise PackageError(f"{folder} is no BigGAN checkpoint: it holds no {_CONFIG}; {hint}.") from error
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}.") from error
    config = parse_json(raw, str(path))
    if not isinstance(config, dict):
        raise PackageError(f"{path} holds no JSON object.")
    return config


def load_network(folder: Path, config: Mapping[str, Any]) -> nn.Module:
    """The generator that ``config`` describes with the weights in a folder, in float32 on the CPU.

    Weights stored in half precision are widened: on a CPU it only costs time.

    Raises:
        PackageError: the weights are missing, damaged, not finite, or of another architecture.
    """
    path = _weights_of(folder)
    tensors = _read(path)
    with torch.device("meta"):
        network = family_of(config).build(config)
    # Compared before any memory is taken, so that a configuration of absurd size costs nothing.
    _check_fit(tensors, network, path, family_of(config).name)
    network = network.to_empty(device="cpu").float()
    network.load_state_dict(tensors)
    return network


def _weights_of(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise PackageError(f"{folder} holds no weights: none of {', '.join(_WEIGHTS)}.")


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or hostile pickle raises depends on the byte that is wrong
        reason = (" ".join(str(error).split()) or type(error).__name__)[:160].rstrip(".")
        raise PackageError(f"{path} is damaged, or holds more than tensors: {reason}.") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise PackageError(f"{path} is no state dict: it has to map names to tensors.")
    check_finite(content, str(path))
    return content


def _check_fit(tensors: Mapping[str, Tensor], network: nn.Module, path: Path, name: str) -> None:
    other = PLAIN if name == DEEP.name else DEEP
    if other.landmark in tensors:
        raise PackageError(f"{path} holds the weights of {other.name}, but {_CONFIG} describes {name}.")
    expected = network.state_dict()
    wrong = [key for key, value in tensors.items() if key in expected and not _fits(value, expected[key])]
    problems = {
        "are missing": expected.keys() - tensors.keys(),
        "do not belong there": tensors.keys() - expected.keys(),
        "have another shape or type": wrong,
    }
    found = [f"{len(keys)} tensors {what} (such as {min(keys)})" for what, keys in problems.items() if keys]
    if found:
        raise PackageError(f"{path} does not hold the {name} that {_CONFIG} describes: {', '.join(found)}.")


def _fits(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and value.is_floating_point()
