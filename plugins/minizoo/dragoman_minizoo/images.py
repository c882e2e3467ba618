"""Labelled images as a source of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.training.method import Batch
from dragoman_minizoo.data import LABELS, Labelled

__all__ = ["LabelledImages"]

#: Shoes point to the left in Fashion-MNIST; all else looks as likely mirrored.
_POINTING = ("sandal", "sneaker", "ankle boot")


class LabelledImages:
    """Batches of ``image`` in [0, 1] and ``label``, drawn with replacement, mirrored at random where that is likely.

    Args:
        data: images and labels.
        shift: images are also moved by up to so many pixels each way.
    """

    def __init__(self, data: Labelled, shift: int = 0) -> None:
        self.data, self.shift = data, shift
        self.pointing = torch.tensor([name in _POINTING for name in LABELS])

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Float ``[size, 1, 32, 32]`` and int64 ``[size]``."""
        rows = torch.randint(len(self.data.labels), (size,), generator=generator)
        label = self.data.labels[rows]
        mirror = (torch.rand(size, generator=generator) < 0.5) & ~self.pointing[label]
        image = self.data.images[rows].float() / 255
        image = torch.where(mirror[:, None, None, None], image.flip(3), image)
        return {"image": self._moved(image, generator), "label": label}

    def _moved(self, image: Tensor, generator: torch.Generator) -> Tensor:
        if not self.shift:
            return image
        offset = torch.randint(-self.shift, self.shift + 1, (2,), generator=generator).tolist()
        return torch.roll(image, offset, dims=(2, 3))
