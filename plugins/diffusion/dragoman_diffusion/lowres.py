"""The smaller image that a super-resolution stage begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dragoman_diffusion.prediction import Prior
from dragoman_diffusion.schedule import Schedule

__all__ = ["Degraded", "crop_rows", "degrade", "prior_of", "shrink"]

#: Standard deviation of what an enlarged image lacks, in units of images in [-1, 1].
LACKING = 0.25


class Degraded(NamedTuple):
    """Enlarged images with noise.

    Attributes:
        images: ``[B, C, H, W]``.
        level: how much noise, ``[B]`` in [0, 1].
    """

    images: Tensor
    level: Tensor


def shrink(images: Tensor, size: Sequence[int]) -> Tensor:
    """Images ``[B, C, H, W]`` at a smaller size, with an antialiasing filter as Pillow's."""
    return functional.interpolate(images, tuple(size), mode="bilinear", antialias=True)


def degrade(low: Tensor, size: Sequence[int], level: Tensor, noise: Tensor, schedule: Schedule) -> Degraded:
    """Noise-conditioning augmentation (Ho et al. 2022, arXiv:2106.15282): enlarge, then diffuse to a known level.

    Args:
        low: ``[B, C, h, w]`` in [-1, 1].
        size: height and width of the result.
        level: time of the diffusion, ``[B]``; 0 leaves the images as they are.
        noise: standard normal ``[B, C, H, W]``.
        schedule: of the diffusion.
    """
    enlarged = functional.interpolate(low, tuple(size), mode="bilinear", align_corners=False)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.alpha_sigma(level))
    return Degraded(alpha * enlarged + sigma * noise, level)


def prior_of(degraded: Degraded, schedule: Schedule) -> Prior:
    """What the smaller image says of the one to be made: with more noise on it, less.

    Args:
        degraded: enlarged images with noise, about of unit variance, and their levels.
        schedule: by which the noise was added.
    """
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.alpha_sigma(degraded.level))
    return Prior(alpha * degraded.images, (sigma.square() + LACKING**2).sqrt())


def crop_rows(batches: Sequence[Tensor], side: int, generator: torch.Generator | None) -> list[Tensor]:
    """The same random square of each batch ``[B, C, H, W]``, another one in each row."""
    rows, _, height, width = batches[0].shape
    place = generator.device if generator is not None else None
    tops = torch.randint(height - side + 1, (rows,), generator=generator, device=place).tolist()
    lefts = torch.randint(width - side + 1, (rows,), generator=generator, device=place).tolist()
    corners = list(zip(tops, lefts, strict=True))
    return [
        torch.stack(
            [image[:, top : top + side, left : left + side] for image, (top, left) in zip(batch, corners, strict=True)]
        )
        for batch in batches
    ]
