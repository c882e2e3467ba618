"""Adaptive augmentation: as much as it takes to keep a critic from telling its real images apart by heart."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_vision_aided.augment import cutout

__all__ = ["AdaptiveAugmentation"]


class AdaptiveAugmentation(nn.Module):
    """Random geometry and colour, each with a probability that follows the critic's logits at real images.

    In the manner of Karras et al. 2020 (arXiv:2006.06676, appendix B, classes "blit", "geom" and "color"): mirroring,
    quarter turns, shifts, scaling, stretching, turning; brightness, contrast, inversion of luma, saturation. Unlike
    there, all geometry is one bilinear resampling. A cutout always follows.

    The mean sign of the logits at real images is 0 for a critic that guesses and 1 for one that knows them all; the
    probability rises while that mean is above ``target``.

    Args:
        target: of that mean sign.
        ramp: images in which the probability can go from 0 to 1.
        most: largest probability; a generator learns augmentations that are nearly always there.

    Attributes:
        probability: a scalar, part of the state.
    """

    probability: Tensor

    def __init__(self, target: float = 0.3, ramp: int = 500_000, most: float = 0.8) -> None:
        super().__init__()
        self.target, self.ramp, self.most = target, ramp, most
        self.register_buffer("probability", torch.zeros(()))

    @torch.no_grad()
    def adapt(self, real_logits: Tensor) -> None:
        """Take in the logits ``[B, n]`` of real images."""
        sign = real_logits.sign().mean()
        step = (sign - self.target).sign() * len(real_logits) / self.ramp
        self.probability.add_(step.to(self.probability)).clamp_(0, self.most)

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images ``[B, C, H, W]`` in [-1, 1], with a generator on the CPU."""
        p = float(self.probability)
        if p:
            draw = _Draw(len(images), p, generator)
            images = _colour(_geometry(images, draw), draw)
        return cutout(images, generator)


class _Draw:
    """Random parameters, each of which is neutral with probability ``1 - p``."""

    def __init__(self, count: int, p: float, generator: torch.Generator) -> None:
        self.count, self.p, self.generator = count, p, generator

    def normal(self, scale: float) -> Tensor:
        """Normal around 0, or 0."""
        return self._maybe(torch.randn(self.count, generator=self.generator) * scale)

    def uniform(self, most: float) -> Tensor:
        """Uniform in [-most, most], or 0."""
        return self._maybe((torch.rand(self.count, generator=self.generator) * 2 - 1) * most)

    def coin(self, sides: int) -> Tensor:
        """A whole number below ``sides``, or 0."""
        return self._maybe(torch.randint(sides, (self.count,), generator=self.generator).float())

    def _maybe(self, values: Tensor) -> Tensor:
        return values * (torch.rand(self.count, generator=self.generator) < self.p)


def _geometry(images: Tensor, draw: _Draw) -> Tensor:
    angle = draw.coin(4) * (pi / 2) + draw.uniform(pi)
    scale, stretch, mirror = draw.normal(0.2).exp2(), draw.normal(0.2).exp2(), 1 - 2 * draw.coin(2)
    shift = torch.stack([draw.uniform(0.25), draw.uniform(0.25)], dim=1)  # of half a side: an eighth of the image
    cos, sin = angle.cos(), angle.sin()
    x, y = scale * stretch * mirror, scale / stretch
    linear = torch.stack([torch.stack([cos * x, -sin * y], dim=1), torch.stack([sin * x, cos * y], dim=1)], dim=1)
    theta = torch.cat([linear, shift[:, :, None]], dim=2).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _colour(images: Tensor, draw: _Draw) -> Tensor:
    bright, contrast, saturate, invert = (
        value.to(images)[:, None, None, None]
        for value in (draw.normal(0.2), draw.normal(0.5).exp2(), draw.normal(1.0).exp2(), 1 - 2 * draw.coin(2))
    )
    images = (images + bright) * contrast
    luma = images.mean(dim=1, keepdim=True)
    return luma * invert + (images - luma) * saturate
