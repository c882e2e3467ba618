"""Batches of random crops of pictures, for networks that are trained on images alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.training.method import Batch

__all__ = ["Crops"]


class Crops:
    """Random crops of pictures, mirrored half of the time; larger pictures are cropped more often.

    Args:
        pictures: uint8 ``[3, H, W]`` each.
        size: side of the crops.

    Raises:
        InputError: there is no picture, or one is smaller than a crop.
    """

    def __init__(self, pictures: Sequence[Tensor], size: int = 64) -> None:
        self.pictures, self.size = list(pictures), size
        if not self.pictures or any(min(picture.shape[1:]) < size for picture in self.pictures):
            raise InputError(f"Crops of {size} pixels need at least one picture, and none that is smaller.")
        self.areas = torch.tensor([float(picture[0].numel()) for picture in self.pictures])

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``{"image": [size, 3, S, S]}``, float in [0, 1]."""
        chosen = torch.multinomial(self.areas, size, replacement=True, generator=generator)
        crops = [self._crop(self.pictures[int(one)], generator) for one in chosen]
        return {"image": torch.stack(crops).float() / 255}

    def _crop(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        limits = [side - self.size + 1 for side in picture.shape[1:]]
        top, left = (int(torch.randint(limit, (), generator=generator)) for limit in limits)
        crop = picture[:, top : top + self.size, left : left + self.size]
        return crop.flip(2) if torch.rand((), generator=generator) < 0.5 else crop
