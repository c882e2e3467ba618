"""Architecture and weights of an official ``.pkl`` file.

The architecture follows from what each module says of itself and from the shapes of its tensors. The arguments that a
network was made with do not suffice: the file omits those that were left at their defaults, and the two repositories
that wrote such files have different defaults.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dragoman.errors import PackageError
from dragoman_stylegan2.config import BOTTOM, DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.pickles.read import Record, read_pickle

__all__ = ["read_official"]

_DEEPEST = 8
_DISCRIMINATORS = {"resnet": True, "orig": False}
_MAPPING_RATE = 0.01


def read_official(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The averaged generator ``G_ema``, and the discriminator ``D`` if it is there.

    Args:
        path: a ``.pkl`` file of stylegan2-ada-pytorch or stylegan3.

    Returns:
        The content of a ``config.json``, and tensors by the names of
        :mod:`dragoman_stylegan2.checkpoint`, as the file stores them. They are not copied, since many
        may stand in one memory: compare their shapes with the architecture first.

    Raises:
        PackageError: the file does what official files do not, or holds another architecture.
    """
    content = read_pickle(path)
    try:
        return _converted(content, path)
    except PackageError as error:
        raise PackageError(f"{path} cannot be converted: {error}") from error


def _converted(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    generator, discriminator = content.get("G_ema"), content.get("D")
    if not isinstance(generator, Record):
        raise PackageError("It holds no generator G_ema.")
    config: dict[str, Any] = {"generator": _generator(generator).to_dict()}
    tensors = {f"generator.{name}": value for name, value in _tensors(generator)}
    if isinstance(discriminator, Record):
        config["discriminator"] = _discriminator(discriminator).to_dict()
        tensors |= {f"discriminator.{name}": value for name, value in _tensors(discriminator)}
    config["source"] = {"file": path.name, "sha256": _sha256(path)}
    return config, tensors


def _generator(network: Record) -> GeneratorConfig:
    mapping, synthesis = network.child("mapping"), network.child("synthesis")
    if "input" in synthesis.children:
        raise PackageError("It holds a StyleGAN3, which is another architecture.")
    blocks = _blocks(synthesis)
    _require(blocks, "architecture", {"skip"})
    first = mapping.child("fc0")
    w_dim, inputs = _shape(first, "weight", 2)
    classes = _classes(mapping)
    return GeneratorConfig(
        channels=tuple(_shape(block.child("conv1"), "weight", 4)[0] for block in blocks),
        image_channels=_shape(blocks[-1].child("torgb"), "weight", 4)[0],
        z_dim=inputs - (w_dim if classes else 0),
        w_dim=w_dim,
        **_common(blocks, mapping, [block.child("conv1") for block in blocks]),
    )


def _discriminator(network: Record) -> DiscriminatorConfig:
    last, *blocks = _blocks(network)
    mapping = network.children.get("mapping")
    (architecture,) = _require(blocks, "architecture", set(_DISCRIMINATORS))
    statistic = last.child("mbstd")
    convolutions = [block.child("conv0") for block in blocks]
    width = _shape(last.child("fc"), "weight", 2)[0]
    return DiscriminatorConfig(
        channels=(width, *(_shape(layer, "weight", 4)[0] for layer in convolutions)),
        image_channels=_shape(blocks[-1].child("fromrgb"), "weight", 4)[1],
        residual=_DISCRIMINATORS[architecture],
        cmap_dim=_shape(last.child("out"), "weight", 2)[0] if mapping else width,
        mbstd_group=statistic.attribute("group_size", int),
        mbstd_channels=statistic.attribute("num_channels", int),
        **_common(blocks, mapping, convolutions),
    )


def _common(blocks: list[Record], mapping: Record | None, convolutions: list[Record]) -> dict[str, Any]:
    """What both networks have, and have in common over all their blocks."""
    _require(convolutions, "activation", {"lrelu"})
    clamps = {_clamp(layer) for layer in convolutions}
    halves = [bool(block.attribute("use_fp16", bool)) for block in blocks]
    if len(clamps) != 1 or halves != sorted(halves):
        raise PackageError("Its blocks differ in more than their size.")
    found: dict[str, Any] = {
        "resolution": max(_sizes(blocks)),
        "conv_clamp": clamps.pop(),
        "num_fp16_res": sum(halves),
    }
    if mapping is None:
        return found
    rate = mapping.child("fc0").state.get("bias_gain", _MAPPING_RATE)
    layers = sum(bool(re.fullmatch(r"fc\d+", name)) for name in mapping.children)
    return found | {"num_classes": _classes(mapping), "mapping_layers": layers, "mapping_rate": rate}


def _blocks(network: Record) -> list[Record]:
    """The blocks of 4, 8, ... pixels."""
    children = network.children
    sizes = sorted(int(name[1:]) for name in children if re.fullmatch(r"b[1-9]\d{0,5}", name))
    if len(sizes) < 2 or sizes != [BOTTOM << level for level in range(len(sizes))]:
        raise PackageError(f"A {network.class_name} of it has no blocks b4, b8, ... as a StyleGAN2 has.")
    return [children[f"b{size}"] for size in sizes]


def _sizes(blocks: list[Record]) -> list[int]:
    return [block.attribute("resolution", int) for block in blocks]


def _require(records: list[Record], name: str, allowed: set[str]) -> set[str]:
    """The one value that all records have under a name."""
    values = {record.attribute(name, str) for record in records}
    if len(values) != 1 or not values <= allowed:
        raise PackageError(f"Its {name} {min(values - allowed, default='mixed')[:20]!r} is not known here.")
    return values


def _clamp(layer: Record) -> float | None:
    value: float | None = layer.attribute("conv_clamp", (int, float, type(None)))
    return value


def _classes(mapping: Record) -> int:
    return _shape(mapping.child("embed"), "weight", 2)[1] if "embed" in mapping.children else 0


def _shape(layer: Record, name: str, dimensions: int) -> tuple[int, ...]:
    tensor = layer.own_tensors.get(name)
    if tensor is None or tensor.ndim != dimensions:
        raise PackageError(f"A {layer.class_name} of it has no {name} of {dimensions} dimensions.")
    return tuple(tensor.shape)


def _tensors(network: Record) -> Iterator[tuple[str, Tensor]]:
    """All tensors by their dotted names."""
    # A module that holds itself, or is held twice, would make the walk endless or exponentially long.
    seen: set[int] = set()
    queue = [("", network, 0)]
    while queue:
        prefix, record, depth = queue.pop()
        if depth > _DEEPEST or id(record) in seen:
            raise PackageError("Its modules hold each other.")
        seen.add(id(record))
        for name, tensor in record.own_tensors.items():
            yield f"{prefix}{name}", tensor
        queue += [(f"{prefix}{name}.", child, depth + 1) for name, child in record.children.items()]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
