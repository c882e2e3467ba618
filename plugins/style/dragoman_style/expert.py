"""The expert: a photograph to the same photograph in a style, with knobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeGuard

import torch
from torch import Tensor

from dragoman.errors import InputError, PackageError, PortError
from dragoman.expert import Expert
from dragoman.folder import fill, read_folder, write_folder
from dragoman.knobs import Knob, check_knobs
from dragoman.pixels import check_images, match_channels
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_style.network import SITES, StyleNet, network_of
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily

__all__ = ["StyleTransfer"]

_LEAST_SIDE = 8
_CHOICE = "style"


class StyleTransfer(Expert):
    """Stylises photographs of any size; the losses of its training are knobs.

    ``style`` chooses the style, ``content`` how much of the photograph stays, and ``style.LAYER`` how closely each
    layer of the feature expert follows the style: first layers see colours and strokes, last ones larger patterns.

    Args:
        config: ``styles``, ``width``, ``blocks``, ``names`` of the styles, ``family`` and ``film``.
        conditioned: the network under its modulations. It is frozen.
    """

    reads: ClassVar[str] = "image"

    def __init__(self, config: Mapping[str, Any], conditioned: Conditioned) -> None:
        super().__init__(config)
        self.conditioned = conditioned
        self.freeze()

    @classmethod
    def make(cls, config: dict[str, Any]) -> Self:
        """Fresh weights.

        Raises:
            PackageError: the configuration describes no network, or as many names as it has styles are missing.
        """
        network = network_of(config)
        names = config.get("names")
        if not _are_names(names) or len(names) != network.styles:
            raise PackageError(f"The style network has {network.styles} styles, but their names are {names!r}.")
        try:
            family = LossFamily.from_dict(config["family"])
            if any(coefficient.name == _CHOICE for coefficient in family.varying):
                raise InputError(f"a coefficient is called {_CHOICE}, like the choice of the style")
            return cls(config, Conditioned(network, family, sites=SITES, **config["film"]))
        except (InputError, KeyError, TypeError) as error:
            raise PackageError(f"The style network's knobs cannot be made: {error}.") from error

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read what :meth:`save_pretrained` wrote.

        Raises:
            PackageError: files are missing, damaged, or do not fit each other.
        """
        config, tensors = read_folder(folder, "style model")
        expert = cls.make(config)
        fill(expert.conditioned, tensors, folder)
        return expert

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint."""
        shape = (3, "height", "width")
        photo = Port("photo", "image", shape, normalisation="[0, 1]", gives=True, takes=True)
        return {"photo": photo, "image": Port("image", "image", shape, normalisation="[0, 1]")}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json``, which lists the knobs, and ``model.safetensors``.

        Raises:
            InputError: the folder cannot be written.
        """
        described = {**self.config, "knobs": [knob.to_dict() for knob in self.knobs()]}
        write_folder(Path(folder), described, self.conditioned.state_dict())

    def knobs(self) -> tuple[Knob, ...]:
        """``style``, ``content``, and ``style.LAYER`` for each layer."""
        names = tuple(self.config["names"])
        choice = Knob(_CHOICE, names[0], kind="choice", choices=names, summary="which style")
        return (choice, *self.conditioned.family.knobs())

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Images as they are, with three channels.

        Args:
            inputs: float ``[B, 1 or 3, H, W]`` in [0, 1].
            port: ``photo``.
            generator: not used.
        """
        self._check_port(port)
        return match_channels(check_images(inputs), 3)

    def decode(self, representation: Representation, port: str, *, truncation: float = 1.0, **knobs: Any) -> Tensor:
        """Photographs ``[B, 3, H, W]`` to stylised ones in [0, 1].

        Args:
            representation: the photographs, with sides of at least 8 pixels.
            port: ``photo``.
            truncation: without effect: there is no latent to truncate.
            **knobs: of :meth:`knobs`.

        Raises:
            InputError: there is no such knob or value, or the photographs are too small.
        """
        self._check_port(port)
        chosen = check_knobs(knobs, self.knobs(), "This style model")
        name = chosen.pop(_CHOICE, self.config["names"][0])
        images = self._checked(representation)
        style = torch.full((len(images),), self.config["names"].index(name), device=images.device)
        with self.conditioned.using(self.conditioned.family.values(chosen)):
            made: Tensor = self.conditioned(images, style)
        return made.float()

    @property
    def network(self) -> StyleNet:
        """The network without its modulations."""
        assert isinstance(self.conditioned.network, StyleNet)
        return self.conditioned.network

    def _checked(self, photos: Representation) -> Tensor:
        images = match_channels(check_images(photos), 3).to(self.network.last.weight)
        if min(images.shape[2:]) < _LEAST_SIDE:
            sides = " x ".join(map(str, images.shape[2:]))
            raise InputError(f"Photographs need sides of at least {_LEAST_SIDE} pixels, not {sides}.")
        return images

    def _check_port(self, port: str) -> None:
        if port != "photo":
            raise PortError(f"The style model reads and writes the port photo, not {port!r}.")


def _are_names(names: Any) -> TypeGuard[list[str]]:
    """Whether it is a list of different texts."""
    texts = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    return texts and len(set(names)) == len(names)
