"""Training: rate and distortion of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_codec.hyperprior import Hyperprior

__all__ = ["RateDistortion"]


class RateDistortion(Method):
    """``rate + weight * distortion`` of a codec, per sample.

    The rate is the ideal code length in bits per pixel, with uniform noise in place of rounding; the distortion is
    ``255^2`` times the mean squared error, as for the published values of lambda.

    Args:
        network: the codec.
        weight: lambda; leave it at 1 under loss-conditional training, which brings its own.
        learning_rate: peak of Adam's learning rate.
        warmup: steps of linear warm-up.
        clip: largest gradient norm.
    """

    def __init__(
        self,
        network: Hyperprior,
        *,
        weight: float = 1.0,
        learning_rate: float = 1e-3,
        warmup: int = 50,
        clip: float = 1.0,
    ) -> None:
        super().__init__()
        self.network, self.weight = network, weight
        self.learning_rate, self.warmup, self.clip = learning_rate, warmup, clip

    def phases(self) -> Sequence[Phase]:
        """One; the quantiles stay, as the tables are made without them."""
        moving = [value for name, value in self.network.named_parameters() if not name.endswith("quantiles")]
        weights = {"distortion": self.weight}
        return (Phase("codec", moving, self.learning_rate, weights=weights, warmup=self.warmup, clip=self.clip),)

    def trained(self) -> nn.Module:
        """The codec."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``rate`` and ``distortion`` of ``batch["image"]``, ``[B, 3, H, W]`` in [0, 1]."""
        images = batch["image"]
        assert isinstance(images, Tensor)
        made = self.network(images, generator)
        pixels = images.shape[2] * images.shape[3]
        distortion = 255**2 * (made.images - images).square().flatten(1).mean(dim=1)
        return {"rate": made.bits() / pixels, "distortion": distortion}
