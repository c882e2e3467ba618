"""What the two published families have in common, so that one expert serves both.

BigGAN-deep concatenates z and a class embedding once; BigGAN splits z over its blocks. They also differ in how z is
drawn, how class embeddings are stored, and whether there are batch-norm statistics for smaller truncations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dragoman.errors import InputError, PackageError
from dragoman_biggan.deep import DeepGenerator
from dragoman_biggan.deep_config import DeepConfig
from dragoman_biggan.plain import BOTTOM_WIDTH, Generator, PlainConfig
from dragoman_biggan.truncation import check_truncation, truncated_normal

__all__ = ["DEEP", "PLAIN", "Family", "Sizes", "family_of"]


@dataclass(frozen=True)
class Sizes:
    """Sizes of a checkpoint.

    Attributes:
        z: length of z.
        embedding: length of a class embedding.
        classes: number of classes.
        channels: colour channels of the images.
        resolution: height and width of the images.
    """

    z: int
    embedding: int
    classes: int
    channels: int
    resolution: int


class Family(Protocol):
    """One of the two kinds of generator.

    Attributes:
        name: for messages.
        prior: the distribution of z, in words.
        landmark: name of a tensor that checkpoints of this family hold, and no others.
    """

    name: str
    prior: str
    landmark: str

    def sizes(self, config: Mapping[str, Any]) -> Sizes:
        """Sizes, from a ``config.json``.

        Raises:
            PackageError: an entry cannot be.
        """
        ...

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The network without trained weights, on the default device."""
        ...

    def embeddings(self, network: nn.Module) -> Tensor:
        """The class embeddings ``[classes, embedding]``, not copied."""
        ...

    def draw_z(self, size: int, generator: torch.Generator) -> Tensor:
        """One z ``[size]`` as in training, on the generator's device."""
        ...

    def render(self, network: nn.Module, z: Tensor, embedding: Tensor, truncation: float, statistics: str) -> Tensor:
        """Images ``[B, channels, resolution, resolution]`` in [-1, 1], from z at full variety.

        Raises:
            InputError: the truncation is out of range, or there are no such statistics.
        """
        ...


class _Deep:
    name = "BigGAN-deep"
    prior = "standard normal cut off at -2 and 2"
    landmark = "generator.gen_z.weight_orig"

    def sizes(self, config: Mapping[str, Any]) -> Sizes:
        deep = DeepConfig.from_dict(config)
        return Sizes(deep.z_dim, deep.z_dim, deep.num_classes, 3, deep.output_dim)

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        return DeepGenerator(DeepConfig.from_dict(config))

    def embeddings(self, network: nn.Module) -> Tensor:
        assert isinstance(network, DeepGenerator)
        return network.embeddings.weight.T

    def draw_z(self, size: int, generator: torch.Generator) -> Tensor:
        return truncated_normal(size, generator)

    def render(self, network: nn.Module, z: Tensor, embedding: Tensor, truncation: float, statistics: str) -> Tensor:
        images: Tensor = network(truncation * z, embedding, truncation, statistics)
        return images


class _Plain:
    name = "BigGAN"
    prior = "standard normal"
    landmark = "shared.weight"

    def sizes(self, config: Mapping[str, Any]) -> Sizes:
        plain = _checked(config)
        return Sizes(plain.z_dim, plain.shared_dim, plain.num_classes, plain.image_channels, plain.resolution)

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        return Generator(_checked(config))

    def embeddings(self, network: nn.Module) -> Tensor:
        assert isinstance(network, Generator)
        return network.shared.weight

    def draw_z(self, size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(size, generator=generator, device=generator.device)

    def render(self, network: nn.Module, z: Tensor, embedding: Tensor, truncation: float, statistics: str) -> Tensor:
        check_truncation(truncation)
        if statistics != "exact":
            raise InputError(f"BigGAN has one set of batch-norm statistics; statistics cannot be {statistics!r}.")
        images: Tensor = network(truncation * z, embedding)
        return images


#: The generator of ``pytorch-pretrained-BigGAN``.
DEEP: Family = _Deep()
#: The generator of ``BigGAN-PyTorch``.
PLAIN: Family = _Plain()


def family_of(config: Mapping[str, Any]) -> Family:
    """The family that a ``config.json`` describes.

    Raises:
        PackageError: neither.
    """
    if "layers" in config:
        return DEEP
    if "generator" in config:
        return PLAIN
    raise PackageError(
        "The configuration describes no BigGAN: it has neither 'layers' (BigGAN-deep) nor 'generator' (BigGAN)."
    )


def _checked(config: Mapping[str, Any]) -> PlainConfig:
    """The configuration of a plain generator, if its entries are of the right kind and fit each other."""
    plain = PlainConfig.from_dict(config)
    counts = {name: getattr(plain, name) for name in ("resolution", "channels", "z_dim", "shared_dim", "num_classes")}
    for name, value in counts.items():
        if not _is_count(value):
            raise PackageError(f"The configuration's {name} cannot be {value!r}; it is a positive whole number.")
    for name in ("generator", "attention"):
        value = getattr(plain, name)
        if not isinstance(value, tuple) or not all(map(_is_count, value)):
            raise PackageError(f"The configuration's {name} cannot be {value!r}; it is a list of whole numbers.")
    for name in ("bn_eps", "sn_eps"):
        value = getattr(plain, name)
        if not isinstance(value, float) or not 0 < value < 1:
            raise PackageError(f"The configuration's {name} cannot be {value!r}; it is a small positive number.")
    _check_geometry(plain)
    return plain


def _check_geometry(plain: PlainConfig) -> None:
    if plain.image_channels not in (1, 3):
        raise PackageError(f"The configuration's image_channels is 1 or 3, not {plain.image_channels!r}.")
    if not 2 <= len(plain.generator) <= 16 or plain.resolution != BOTTOM_WIDTH * 2 ** (len(plain.generator) - 1):
        blocks = len(plain.generator) - 1
        raise PackageError(f"The configuration's generator has {blocks} blocks for {plain.resolution} pixels.")
    if plain.z_dim % len(plain.generator):
        parts = len(plain.generator)
        raise PackageError(f"The configuration's z_dim {plain.z_dim} cannot be split into {parts} equal parts.")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31
