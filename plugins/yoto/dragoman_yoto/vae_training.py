"""Training of the autoencoder: reconstruction and divergence, per sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_yoto.vae import VAE

__all__ = ["VAETraining"]


class VAETraining(Method):
    """``reconstruction + beta * kl`` in nats per image (Higgins et al. 2017).

    Args:
        network: the autoencoder.
        beta: weight of the divergence; leave it at 1 under loss-conditional training, which brings its own.
        learning_rate: peak of Adam's learning rate.
        warmup: steps of linear warm-up.
        clip: largest gradient norm.
    """

    def __init__(
        self,
        network: VAE,
        *,
        beta: float = 1.0,
        learning_rate: float = 1e-3,
        warmup: int = 50,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        self.network, self.beta = network, beta
        self.learning_rate, self.warmup, self.clip = learning_rate, warmup, clip

    def phases(self) -> Sequence[Phase]:
        """One, over the whole network."""
        weights = {"kl": self.beta}
        moving = list(self.network.parameters())
        return (Phase("vae", moving, self.learning_rate, weights=weights, warmup=self.warmup, clip=self.clip),)

    def trained(self) -> nn.Module:
        """The autoencoder."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``reconstruction`` and ``kl`` of ``batch["image"]``, ``[B, C, S, S]`` in [0, 1]."""
        images = batch["image"]
        assert isinstance(images, Tensor)
        size = len(images), self.network.from_latent.in_features
        noise = torch.randn(size, generator=generator, device=generator.device).to(images)
        logits, mean, log_variance = self.network(images, noise)
        wrong = functional.binary_cross_entropy_with_logits(logits, images, reduction="none")
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return {"reconstruction": wrong.flatten(1).sum(dim=1), "kl": divergence.sum(dim=1)}
