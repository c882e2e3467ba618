"""The autoencoder as an expert, with beta as a knob where it was trained for many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dragoman.errors import InputError, PackageError, PortError
from dragoman.expert import Expert
from dragoman.folder import fill, read_folder, write_folder
from dragoman.knobs import Knob, check_knobs
from dragoman.pixels import check_images
from dragoman.ports import Port
from dragoman.representation import Representation, randn_rows
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily
from dragoman_yoto.vae import VAE, network_of

__all__ = ["FILM_SITES", "BetaVAE"]

#: The convolutions; linear layers are left unmodulated, as in the published code.
FILM_SITES = ("down.*", "up.*", "!up.3")


class BetaVAE(Expert):
    """A variational autoencoder. One that was trained for a range of beta takes ``beta`` as a knob.

    Args:
        config: ``channels``, ``size``, ``width`` and ``latent``; for a knob also ``family`` and ``film``.
        network: the autoencoder, or that under :class:`dragoman_yoto.conditioned.Conditioned`. It is frozen.
    """

    reads: ClassVar[str] = "image"

    def __init__(self, config: Mapping[str, Any], network: VAE | Conditioned) -> None:
        super().__init__(config)
        self.conditioned = network if isinstance(network, Conditioned) else None
        inner = network.network if isinstance(network, Conditioned) else network
        assert isinstance(inner, VAE)
        self.network = inner
        self.freeze()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read what :meth:`save_pretrained` wrote.

        Raises:
            PackageError: files are missing, damaged, or do not fit each other.
        """
        config, tensors = read_folder(folder, "beta-VAE")
        network = _built(config)
        fill(network, tensors, folder)
        return cls(config, network)

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint."""
        image = (config["channels"], config["size"], config["size"])
        prior = "standard normal prior"
        latent = Port("latent", "vector", (config["latent"],), normalisation=prior, gives=True, takes=True)
        return {"latent": latent, "image": Port("image", "image", image, normalisation="[0, 1]")}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json``, which lists the knobs, and ``model.safetensors``.

        Raises:
            InputError: the folder cannot be written.
        """
        described = {**self.config, "knobs": [knob.to_dict() for knob in self.knobs()]}
        write_folder(Path(folder), described, (self.conditioned or self.network).state_dict())

    def knobs(self) -> tuple[Knob, ...]:
        """``beta`` with its range and default, or nothing."""
        return self.conditioned.family.knobs() if self.conditioned else ()

    def encode(
        self, inputs: Any, port: str, *, generator: torch.Generator | None = None, **knobs: float
    ) -> Representation:
        """Images to latents.

        Args:
            inputs: float ``[B, C, S, S]`` in [0, 1].
            port: ``latent``.
            generator: draws from the posterior; its mean without.
            **knobs: ``beta``.
        """
        self._check_port(port)
        images = check_images(inputs).to(self.network.to_latent.weight)
        if images.shape[1:] != self.ports["image"].shape:
            raise InputError(f"The autoencoder reads {list(self.ports['image'].shape)}, not {list(images.shape[1:])}.")
        moments: tuple[Tensor, Tensor] = self._with(knobs, self.network.encode, images)
        mean, log_variance = moments
        if generator is None:
            return mean.float()
        noise = randn_rows(len(mean), mean.shape[1], generator).to(mean)
        sample: Tensor = mean + (0.5 * log_variance).exp() * noise
        return sample.float()

    def remake(self, inputs: Any, port: str, *, generator: torch.Generator | None = None, **knobs: Any) -> Tensor:
        """Images to their reconstructions; ``beta`` is a knob of both ways."""
        return self.decode(self.encode(inputs, port, generator=generator, **knobs), port, **knobs)

    def decode(self, representation: Representation, port: str, *, truncation: float = 1.0, **knobs: Any) -> Tensor:
        """Latents ``[B, D]`` to images ``[B, C, S, S]`` in [0, 1].

        Args:
            representation: the latents.
            port: ``latent``.
            truncation: scale of the latents, towards the most typical image.
            **knobs: ``beta``.
        """
        self._check_port(port)
        size = self.network.from_latent.in_features
        if not isinstance(representation, Tensor) or representation.shape[1:] != (size,):
            raise InputError(f"The autoencoder decodes latents as a float tensor [B, {size}].")
        latents = truncation * representation.to(self.network.from_latent.weight)
        logits: Tensor = self._with(knobs, self.network.decode, latents)
        return logits.sigmoid()

    def draw(self, port: str, n: int, *, generator: torch.Generator, **knobs: Any) -> Tensor:
        """Samples of the prior."""
        self._check_port(port)
        return randn_rows(n, self.network.from_latent.in_features, generator).to(self.network.from_latent.weight)

    def _with(self, knobs: Mapping[str, float], work: Any, given: Tensor) -> Any:
        if self.conditioned is None:
            check_knobs(knobs, (), "This autoencoder, trained for one beta,")
            return work(given)
        with self.conditioned.using(self.conditioned.family.values(knobs)):
            return work(given)

    def _check_port(self, port: str) -> None:
        if port != "latent":
            raise PortError(f"The autoencoder encodes and decodes the port latent, not {port!r}.")


def _built(config: dict[str, Any]) -> VAE | Conditioned:
    network = network_of(config)
    if "family" not in config:
        return network
    try:
        return Conditioned(network, LossFamily.from_dict(config["family"]), **config["film"])
    except (InputError, KeyError, TypeError) as error:
        raise PackageError(f"The autoencoder's knob cannot be made: {error}.") from error
