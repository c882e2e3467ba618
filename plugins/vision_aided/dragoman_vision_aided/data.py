"""Real images as a source of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.training.method import Batch
from dragoman_registry.image_folder import ImageFolder, read_images
from dragoman_vision_aided.recipe import DataTable, ModelTable

__all__ = ["RealImages", "load_real"]


class RealImages:
    """Batches of ``image`` in [0, 1] and ``label``, drawn with replacement.

    Args:
        data: the images, kept in memory as bytes.
        mirror: whether half of the images are mirrored.
    """

    def __init__(self, data: ImageFolder, mirror: bool) -> None:
        self.data, self.mirror = data, mirror

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Float ``[size, C, H, W]`` and int64 ``[size]``."""
        rows = torch.randint(len(self.data.images), (size,), generator=generator)
        image = self.data.images[rows].float() / 255
        if self.mirror:
            flipped = torch.rand(size, generator=generator) < 0.5
            image = torch.where(flipped[:, None, None, None], image.flip(3), image)
        return {"image": image, "label": self.data.labels[rows]}


def load_real(table: DataTable, model: ModelTable) -> tuple[ImageFolder, Tensor]:
    """The images to train on, and those that snapshots are compared with, uint8 ``[N, C, H, W]``.

    Raises:
        InputError: a folder is missing or empty, or classes are wanted and there are none.
    """
    from pathlib import Path

    size, channels = model.resolution, model.image_channels
    data = read_images(Path(table.images), size=size, channels=channels, limit=table.limit or None)
    if model.conditional and len(data.classes) < 2:
        raise InputError(f"{table.images} has no subfolders that could be classes; leave model.conditional out.")
    if not table.validation:
        return data, data.images
    return data, read_images(Path(table.validation), size=size, channels=channels).images
