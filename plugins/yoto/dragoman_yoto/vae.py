"""A small convolutional variational autoencoder for square images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import PackageError

__all__ = ["VAE", "network_of"]

_KEYS = ("channels", "size", "width", "latent")
#: Most weights of a linear layer: what a damaged configuration asks for must not exhaust the memory.
_MOST = 2**28


class VAE(nn.Module):
    """Two convolutions down, two up, Bernoulli pixels (Kingma, Welling 2014, arXiv:1312.6114).

    Args:
        channels: of the images.
        size: their side, a multiple of 4.
        width: channels of the first convolution; the second has twice as many.
        latent: size of the latent.
    """

    def __init__(self, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        flat, self.map = 2 * width * (size // 4) ** 2, (2 * width, size // 4, size // 4)
        self.down = nn.Sequential(_down(channels, width), nn.ReLU(), _down(width, 2 * width), nn.ReLU())
        self.to_latent = nn.Linear(flat, 2 * latent)
        self.from_latent = nn.Linear(latent, flat)
        self.up = nn.Sequential(nn.ReLU(), _up(2 * width, width), nn.ReLU(), _up(width, channels))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``[B, C, S, S]`` in [0, 1] to mean and log variance of the latent, ``[B, D]`` each."""
        mean, log_variance = self.to_latent(self.down(images).flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, D]`` to logits of pixels."""
        logits: Tensor = self.up(self.from_latent(latents).view(-1, *self.map))
        return logits

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the reconstruction, mean and log variance.

        Args:
            images: ``[B, C, S, S]``.
            noise: standard normal ``[B, D]``.
        """
        mean, log_variance = self.encode(images)
        return self.decode(mean + (0.5 * log_variance).exp() * noise), mean, log_variance


def network_of(config: dict[str, Any]) -> VAE:
    """A fresh network by its ``config.json``.

    Raises:
        PackageError: a size is missing or cannot be.
    """
    sizes = {name: config.get(name) for name in _KEYS}
    for name, value in sizes.items():
        if type(value) is not int or not 1 <= value <= 4096:
            raise PackageError(f"The autoencoder's {name} is {value!r}, not a whole number from 1 to 4096.")
    if config["size"] % 4:
        raise PackageError(f"The autoencoder's size is {config['size']}, not a multiple of 4.")
    if config["width"] * config["size"] ** 2 // 8 * config["latent"] > _MOST:
        raise PackageError(f"The autoencoder's sizes {', '.join(f'{k} {v}' for k, v in sizes.items())} are too large.")
    seed = config.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise PackageError(f"The autoencoder's seed is {seed!r}, not a whole number from 0.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(**{name: config[name] for name in _KEYS})


def _down(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 4, stride=2, padding=1)


def _up(inside: int, outside: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1)
