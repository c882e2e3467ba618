"""Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738): colour, translation, cutout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dragoman.errors import InputError

__all__ = ["POLICIES", "DiffAugment", "colour", "cutout", "translation"]

_SHIFT, _HOLE = 0.125, 0.5


def colour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness by up to 0.5, saturation by 0 to 2, contrast by 0.5 to 1.5, uniformly for each image.

    Args:
        images: ``[B, C, H, W]`` in [-1, 1]; the result may leave that range, as published.
        generator: source of randomness, on the CPU.
    """
    bright, saturate, contrast = _uniform(images, 3, generator)
    images = images + (bright - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturate)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    made: Tensor = mean + (images - mean) * (contrast + 0.5)
    return made


def translation(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by whole pixels, up to an eighth of its side each way; grey follows.

    Args:
        images: ``[B, C, H, W]`` in [-1, 1].
        generator: source of randomness, on the CPU.
    """
    count, _, height, width = images.shape
    rows, columns = _offsets(count, height, generator), _offsets(count, width, generator)
    down, right = int(height * _SHIFT + 0.5), int(width * _SHIFT + 0.5)
    padded = F.pad(images, (right, right, down, down))
    y = (torch.arange(height) + down - rows[:, None]).to(images.device)
    x = (torch.arange(width) + right - columns[:, None]).to(images.device)
    at = torch.arange(count, device=images.device)
    return padded.permute(0, 2, 3, 1)[at[:, None, None], y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    """Grey out a square of half the side around a random position, as far as it lies inside of the image.

    Args:
        images: ``[B, C, H, W]`` in [-1, 1].
        generator: source of randomness, on the CPU.
    """
    count, _, height, width = images.shape
    inside = [_span(count, size, generator) for size in (height, width)]
    hole = (inside[0][:, :, None] & inside[1][:, None, :]).to(images.device)
    return images.masked_fill(hole[:, None], 0.0)


#: By name.
POLICIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": colour,
    "translation": translation,
    "cutout": cutout,
}


class DiffAugment:
    """Some of these, one after the other, each image by itself; gradients flow to the images.

    Args:
        policy: names in :data:`POLICIES`.

    Raises:
        InputError: there are none, or one is unknown.
    """

    def __init__(self, policy: Sequence[str] = tuple(POLICIES)) -> None:
        if unknown := set(policy) - set(POLICIES):
            raise InputError(f"There is no augmentation {min(unknown)!r}; there are {', '.join(POLICIES)}.")
        if not policy:
            raise InputError(f"An augmentation needs a policy of {', '.join(POLICIES)}; to have none, leave it out.")
        self.policy = tuple(policy)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment images ``[B, C, H, W]`` in [-1, 1], with a generator on the CPU."""
        for name in self.policy:
            images = POLICIES[name](images, generator)
        return images


def _uniform(images: Tensor, values: int, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(values, len(images), 1, 1, 1, generator=generator)
    return drawn.to(device=images.device, dtype=images.dtype)


def _offsets(count: int, size: int, generator: torch.Generator) -> Tensor:
    most = int(size * _SHIFT + 0.5)
    return torch.randint(-most, most + 1, (count,), generator=generator)


def _span(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Which of ``size`` positions lie in the hole, bool ``[count, size]``."""
    hole = int(size * _HOLE + 0.5)
    start = torch.randint(0, size + 1 - hole % 2, (count, 1), generator=generator) - hole // 2
    at = torch.arange(size)
    return (at >= start) & (at < start + hole)
