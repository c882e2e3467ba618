"""After the game: a generator's images brought to the distribution of real ones, class by class, in frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dragoman.expert import Expert
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_biggan.plain import Generator

__all__ = ["EnergyMatching"]


class EnergyMatching(Method):
    """Energy distance between generated and real images of a class, in features of frozen experts and in pixels.

    ``2 E|f - r| - E|f - f'| - E|r - r'|`` over pairs within a class, ``f`` of generated and ``r`` of real images, is
    zero where the features are equally distributed and positive elsewhere (Szekely and Rizzo 2013). Its second term
    rewards variety, of which a discriminator sees little: it judges images one by one. Matching perceptual features
    needs no adversary (dos Santos et al. 2019, arXiv:1904.02762), but a generator to begin with saves most of the
    work.

    A batch has ``image``, float ``[B, C, H, W]`` in [0, 1], and ``label``, int64 ``[B]``; a class counts from two
    images of it on. Each term is in units of the mean distance between real images.

    Args:
        generator: a trained generator.
        eyes: vision experts, by whose features images are compared, beside the pixels at half the resolution; and the
            port of each. A map is averaged to 2 x 2.
        learning_rate: peak learning rate.

    Raises:
        PortError: an expert has no such port.
    """

    def __init__(
        self, generator: Generator, eyes: Mapping[str, tuple[Expert, str]], *, learning_rate: float = 3e-4
    ) -> None:
        super().__init__()
        for expert, port in eyes.values():
            expert.port(port)
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = generator
        self.experts = nn.ModuleList(expert for expert, _ in eyes.values())  # so that they move with the method
        self.eyes, self.learning_rate = dict(eyes), learning_rate

    def phases(self) -> Sequence[Phase]:
        """One, with clipped gradients: a batch of few images of a class says little about its distribution."""
        moves = list(self.generator.parameters())
        return [Phase("match", moves, self.learning_rate, betas=(0.5, 0.99), warmup=50, clip=1.0)]

    def trained(self) -> nn.Module:
        """The generator."""
        return self.generator

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``pixels``, and a loss for each eye, by its name."""
        image, label = batch["image"], batch["label"]
        assert isinstance(image, Tensor)
        assert isinstance(label, Tensor)
        z = torch.randn(len(label), self.generator.config.z_dim, generator=generator).to(label.device)
        made = (self.generator(z, self.generator.shared(label)).float() + 1) / 2
        same = label[:, None] == label[None]
        # Distances between images of a class are small beside their features, and half precision would blur them.
        with torch.autocast(made.device.type, enabled=False):
            with torch.no_grad():
                real = self._look(image)
            return {name: _energy(seen, real[name], same) for name, seen in self._look(made).items()}

    def _look(self, images: Tensor) -> dict[str, Tensor]:
        """Features ``[B, D]`` by name."""
        seen = {"pixels": nn.functional.avg_pool2d(images, 2)}
        for name, (expert, port) in self.eyes.items():
            features = expert.encode(images, port)
            assert isinstance(features, Tensor)
            seen[name] = nn.functional.adaptive_avg_pool2d(features, 2) if features.ndim == 4 else features
        return {name: features.flatten(1) for name, features in seen.items()}


def _energy(made: Tensor, real: Tensor, same: Tensor) -> Tensor:
    """Each image's share of the energy distance, ``[B]``; pairs of an image with itself do not count."""
    others = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).float()
    shares = others / others.sum(dim=1, keepdim=True).clamp(min=1)
    across = (torch.cdist(made, real) * same / same.sum(dim=1, keepdim=True)).sum(dim=1)
    within_made = (torch.cdist(made, made) * shares).sum(dim=1)
    within_real = (torch.cdist(real, real) * shares).sum(dim=1)
    alone = others.sum(dim=1) == 0
    distance = (2 * across - within_made - within_real) / within_real.mean().clamp(min=1e-6)
    return distance.masked_fill(alone, 0)
