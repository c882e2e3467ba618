"""Pixels as an expert, so that a translator which makes images itself has a port to aim at."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import save
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.errors import InputError, PackageError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman.stores import Location

__all__ = ["PixelStore", "Pixels"]

PREFIX = "pixels/"
LARGEST_SIDE = 4096
_SIZE = re.compile(r"([13])x([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")


class Pixels(Expert):
    """The identity on images of one size: its port ``image`` gives what it is shown and shows what it takes.

    Args:
        config: ``channels`` (1 or 3), ``height`` and ``width``.

    Raises:
        PackageError: the configuration lacks one of these, or it is out of range.
    """

    reads: ClassVar[str] = "image"

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the size from ``config.json``.

        Raises:
            PackageError: the file is missing or damaged.
        """
        try:
            return cls(json.loads((folder / cls.config_name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise PackageError(f"{folder} holds no size of images: {error}.") from error

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The port ``image``.

        Raises:
            PackageError: the configuration is no size of images.
        """
        given = [config.get(name) for name in ("channels", "height", "width")]
        shape = tuple(size for size in given if type(size) is int and 0 < size <= LARGEST_SIDE)
        if len(shape) != len(given) or shape[0] not in (1, 3):
            raise PackageError(f"An image has 1 or 3 channels, a height and a width, not {given}.")
        return {"image": Port("image", "image", shape, normalisation="[0, 1]", gives=True, takes=True)}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json``, and weights without a tensor.

        Raises:
            InputError: the folder cannot be written.
        """
        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with replacing(place / self.config_name) as file:
                file.write(json.dumps(self.config, sort_keys=True, indent=2).encode() + b"\n")
            with replacing(place / "model.safetensors") as file:
                file.write(save({}))
        except OSError as error:
            raise InputError(f"{place} cannot be written: {error.strerror}.") from error

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """The images themselves, ``[B, C, H, W]`` in [0, 1].

        Raises:
            PortError: the port is not ``image``.
            InputError: the images are of another size.
        """
        return self._checked(inputs, port)

    def decode(self, representation: Representation, port: str, *, truncation: float = 1.0, **knobs: Any) -> Tensor:
        """The images, clipped to [0, 1].

        Args:
            representation: ``[B, C, H, W]``.
            port: ``image``.
            truncation: without effect: there is no latent to truncate.
            **knobs: none.

        Raises:
            PortError: the port is not ``image``.
            InputError: the images are of another size, or a knob was given.
        """
        if knobs:
            raise InputError(f"pixels has no knob {min(knobs)!r}.")
        return self._checked(representation, port).clamp(0, 1)

    def _checked(self, images: Any, port: str) -> Tensor:
        shape = self.port(port).shape
        if not isinstance(images, Tensor) or tuple(images.shape[1:]) != shape:
            found = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise InputError(f"pixels takes images [B, {', '.join(map(str, shape))}], not {found}.")
        return images


class PixelStore:
    """Addresses ``pixels/CxHxW``: each is a folder in the user's cache, written when it is first asked for."""

    def accepts(self, address: str) -> bool:
        """Whether the address begins with ``pixels/``."""
        return address.startswith(PREFIX)

    def fetch(self, address: str, revision: str | None) -> Location:
        """The folder for a size.

        Raises:
            PackageError: the address names no size.
        """
        found = _SIZE.fullmatch(address.removeprefix(PREFIX))
        if not found:
            raise PackageError(f"{address!r} names no size of images; write it as pixels/3x64x64.")
        channels, height, width = map(int, found.groups())
        expert = Pixels({"channels": channels, "height": height, "width": width})
        folder = _cache() / address
        expert.save_pretrained(folder)
        return Location(address, folder)

    def addresses(self) -> list[str]:
        """None: any size is one."""
        return []


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dragoman"
