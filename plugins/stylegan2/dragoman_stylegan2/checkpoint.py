"""Checkpoints: ``config.json`` and ``model.safetensors`` in a folder.

``config.json`` holds ``model_type``, ``generator`` and, where there is one, ``discriminator``: the fields of
:class:`~dragoman_stylegan2.config.GeneratorConfig` and :class:`~dragoman_stylegan2.config.DiscriminatorConfig`.
Tensors have the names of the official PyTorch releases behind ``generator.`` and ``discriminator.``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import PackageError
from dragoman_registry.strict import parse_json
from dragoman_registry.tensors import load_tensors
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.generator import Generator

__all__ = ["MODEL_TYPE", "build_networks", "fill_networks", "load_networks", "read_config"]

MODEL_TYPE = "stylegan2"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    """The object in a folder's ``config.json``.

    Raises:
        PackageError: the file is missing, holds no JSON object, or describes another model.
    """
    path = folder / _CONFIG
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        hint = "convert a .pkl file with `dragoman convert stylegan2 FILE OUT`"
        raise PackageError(f"{folder} is no StyleGAN2 checkpoint: it holds no {_CONFIG}; {hint}.") from error
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}.") from error
    config = parse_json(raw, str(path))
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        raise PackageError(f"{path} describes no {MODEL_TYPE}: its model_type is another one.")
    return config


def build_networks(config: Mapping[str, Any]) -> nn.ModuleDict:
    """``generator`` and, where it is described, ``discriminator``, with new weights on the default device.

    Raises:
        PackageError: the configuration cannot be.
    """
    networks: dict[str, nn.Module] = {"generator": Generator(GeneratorConfig.from_dict(config.get("generator")))}
    if "discriminator" in config:
        networks["discriminator"] = Discriminator(DiscriminatorConfig.from_dict(config["discriminator"]))
    return nn.ModuleDict(networks)


def load_networks(folder: Path, config: Mapping[str, Any]) -> nn.ModuleDict:
    """The networks that ``config`` describes with the weights in a folder, in float32 on the CPU.

    Raises:
        PackageError: the weights are missing, damaged, not finite, or of another architecture.
    """
    path = folder / _WEIGHTS
    return fill_networks(config, load_tensors(path), str(path))


def fill_networks(config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> nn.ModuleDict:
    """The networks that ``config`` describes with the given weights, in float32 on the CPU.

    Args:
        config: content of a ``config.json``.
        tensors: by name.
        where: what they were read from, for messages.

    Raises:
        PackageError: they are not the tensors that these networks have.
    """
    with torch.device("meta"):
        networks = build_networks(config)
    # Compared before any memory is taken, so that a configuration of absurd size costs nothing.
    _check_fit(tensors, networks.state_dict(), where)
    networks = networks.to_empty(device="cpu").float()
    networks.load_state_dict(tensors)
    return networks


def _check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> None:
    wrong = [name for name, value in tensors.items() if name in expected and not _fits(value, expected[name])]
    problems = {
        "are missing": expected.keys() - tensors.keys(),
        "do not belong there": tensors.keys() - expected.keys(),
        "have another shape or type": wrong,
    }
    found = [f"{len(names)} tensors {what} (such as {min(names)})" for what, names in problems.items() if names]
    if found:
        raise PackageError(f"{where} does not hold the StyleGAN2 that its configuration describes: {', '.join(found)}.")


def _fits(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and value.is_floating_point()
