"""Further discriminators that a StyleGAN2 may be trained against, beside its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dragoman.training.method import Losses

__all__ = ["FurtherDiscriminator"]


class FurtherDiscriminator(nn.Module):
    """A judge with trained heads, on frozen features for example; each sees the same images as the others.

    Subclasses implement both losses, under names of their own. What is random in them comes from ``generator``, a
    generator on the CPU.

    Attributes:
        heads: what is trained; it has to be a module of this one. Everything else stays as it is and is in no
            checkpoint.
    """

    heads: nn.Module

    def losses_of_heads(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, *, generator: torch.Generator
    ) -> Losses:
        """What the heads minimise, at least one loss ``[B]``.

        Args:
            real: images of the data, ``[B, C, H, W]`` in [0, 1].
            fake: as many of the generator, around [0, 1], without gradient.
            labels: their classes, int64 ``[B]``, where there are any.
            generator: source of randomness, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} has no losses for its heads")

    def losses_of_generator(
        self, fake: Tensor, labels: Tensor | None, *, images: int, generator: torch.Generator
    ) -> Losses:
        """What the generator minimises beside its loss against StyleGAN2's own discriminator, any number of ``[B]``.

        Args:
            fake: images of the generator, ``[B, C, H, W]`` around [0, 1].
            labels: their classes.
            images: how many images training has seen so far; a critic that is still warming up returns no losses.
            generator: source of randomness, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} has no losses for the generator")
