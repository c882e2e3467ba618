"""The expert: images to bitstreams and back, at any quality."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dragoman.errors import InputError, PackageError, PortError
from dragoman.expert import Expert
from dragoman.folder import read_folder, write_folder
from dragoman.knobs import Knob
from dragoman.pixels import check_images, match_channels
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_codec.architectures import network_of
from dragoman_codec.checkpoint import FILM, load_network
from dragoman_codec.coding import ANOTHER, Decoder
from dragoman_codec.fixed import FixedCodec
from dragoman_codec.hyperprior import Hyperprior
from dragoman_codec.knob import FIXED, check_family, knobs_of, position_of, values_at
from dragoman_codec.stream import Header, unframed
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily

__all__ = ["Codec"]


class Codec(Expert):
    """A learned image codec (Balle et al. 2018; Minnen et al. 2018), for one quality or with a knob for it.

    A codec with a knob is a network under :class:`dragoman_yoto.conditioned.Conditioned`. Each setting of the knob
    folds into a plain network, which is what codes: the knob costs no time.

    Args:
        config: ``architecture``, ``N`` and ``M``; with a knob also ``family`` and ``film``.
        network: the network that it describes, its tables made. It is frozen.
        conditioned: the same network with its modulations, for a codec with a knob.
    """

    reads: ClassVar[str] = "image"

    def __init__(self, config: Mapping[str, Any], network: Hyperprior, conditioned: Conditioned | None = None) -> None:
        super().__init__(config)
        self.network, self.conditioned = network, conditioned
        self._fixed: dict[int, FixedCodec] = {}
        self.freeze()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint; its ``config.json`` may also stand beside weights of CompressAI.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config, tensors = read_folder(folder, "codec")
        network = network_of(config)
        load_network(network, tensors)
        return cls(config, network, _conditioned(config, network, tensors))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint."""
        latent = Port(
            "latent", "map", (config["M"], "height", "width"), normalisation="integers", gives=True, takes=True
        )
        return {"latent": latent, "image": Port("image", "image", (3, "height", "width"), normalisation="[0, 1]")}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, which :meth:`from_pretrained` reads back bit for bit.

        Raises:
            InputError: the folder cannot be written.
        """
        film = {} if self.conditioned is None else self.conditioned.film.state_dict()
        tensors = {**self.network.state_dict(), **{FILM + name: value for name, value in film.items()}}
        write_folder(Path(folder), {**self.config, "knobs": [knob.to_dict() for knob in self.knobs()]}, tensors)

    def knobs(self) -> tuple[Knob, ...]:
        """``quality``, from 0 to 100, and ``lambda``, which it stands for; nothing for a codec of one quality."""
        if self.conditioned is None:
            return ()
        return knobs_of(self.conditioned.family)

    def at(self, knobs: Mapping[str, float] | None = None) -> FixedCodec:
        """The codec at one setting of its knobs.

        Raises:
            InputError: there is no such knob, or its value is out of range.
        """
        family = None if self.conditioned is None else self.conditioned.family
        return self._at(position_of(knobs or {}, family))

    def compress(self, image: Tensor, knobs: Mapping[str, float] | None = None) -> bytes:
        """A picture to a bitstream.

        Args:
            image: uint8 ``[1 or 3, H, W]``, of any size up to 2^26 pixels with sides up to 16384.
            knobs: ``{"quality": 0 to 100}`` or ``{"lambda": ...}``.

        Raises:
            InputError: the picture is of another type or shape, or a knob cannot be.
        """
        fixed = self.at(knobs)
        return fixed.compress(image)

    def decompress(self, stream: bytes) -> Tensor:
        """A bitstream to the picture, uint8 ``[1 or 3, H, W]``.

        Raises:
            InputError: the stream is damaged, truncated, no such stream, or of another codec.
        """
        decoder = Decoder(unframed(stream))
        header = Header.read(decoder)
        if (header.position == FIXED) != (self.conditioned is None):
            raise InputError(ANOTHER)
        return self._at(header.position).decompress(header, decoder)

    def encode(
        self, inputs: Any, port: str, *, generator: torch.Generator | None = None, **knobs: float
    ) -> Representation:
        """Images to rounded latents, ``[B, M, H/16, W/16]``; sides are padded to 64.

        Args:
            inputs: float ``[B, 1 or 3, H, W]`` in [0, 1].
            port: ``latent``.
            generator: not used.
            **knobs: ``quality`` or ``lambda``.
        """
        self._check_port(port)
        return self.at(knobs).latents(match_channels(check_images(inputs), 3))

    def remake(self, inputs: Any, port: str, *, generator: torch.Generator | None = None, **knobs: Any) -> Tensor:
        """Images to what decoders make of them, ``[B, 3, H, W]``."""
        made = self.decode(self.encode(inputs, port, **knobs), port, **knobs)
        return made[:, :, : inputs.shape[2], : inputs.shape[3]]

    def decode(self, representation: Representation, port: str, *, truncation: float = 1.0, **knobs: Any) -> Tensor:
        """Latents to images, ``[B, 3, 16 h, 16 w]`` in [0, 1].

        Args:
            representation: the latents.
            port: ``latent``.
            truncation: without effect.
            **knobs: ``quality`` or ``lambda``, as they were encoded with.

        Raises:
            InputError: the latents are of another shape, or there is no such knob.
        """
        self._check_port(port)
        M = self.network.M
        if not isinstance(representation, Tensor) or representation.ndim != 4 or representation.shape[1] != M:
            found = list(representation.shape) if isinstance(representation, Tensor) else type(representation).__name__
            raise InputError(f"The codec decodes latents [B, {M}, h, w], not {found}.")
        network = self.at(knobs).network
        images: Tensor = network.g_s(representation.to(next(network.parameters())))
        return images.clamp(0, 1)

    @cached_property
    def fingerprint(self) -> int:
        """32 bits that go into the check by which a stream knows its codec."""
        tensors = {**self.state_dict()}
        content = b"".join(name.encode() + _bytes_of(tensors[name]) for name in sorted(tensors))
        return binascii.crc32(content)

    def _at(self, position: int) -> FixedCodec:
        if position not in self._fixed:
            self._fixed = {position: self._made(position)}
        return self._fixed[position]

    def _made(self, position: int) -> FixedCodec:
        if self.conditioned is None:
            return FixedCodec(self.network, position, self.fingerprint)
        plain = network_of(self.config).to(next(self.network.parameters()))
        state = self.conditioned.folded(values_at(position, self.conditioned.family))
        load_network(plain, state)
        return FixedCodec(plain.eval().requires_grad_(False), position, self.fingerprint)

    def _check_port(self, port: str) -> None:
        if port != "latent":
            raise PortError(f"The codec has its representation at the port latent, not {port!r}.")


def _bytes_of(tensor: Tensor) -> bytes:
    return tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _conditioned(config: Mapping[str, Any], network: Hyperprior, tensors: Mapping[str, Tensor]) -> Conditioned | None:
    if "family" not in config:
        return None
    try:
        family = LossFamily.from_dict(config["family"])
        check_family(family)
        conditioned = Conditioned(network, family, **config["film"])
        film = {name.removeprefix(FILM): value for name, value in tensors.items() if name.startswith(FILM)}
        conditioned.film.load_state_dict(film)
    except (InputError, KeyError, TypeError, RuntimeError) as error:
        raise PackageError(f"The codec's knob cannot be loaded: {' '.join(str(error).split())[:200]}.") from error
    return conditioned
