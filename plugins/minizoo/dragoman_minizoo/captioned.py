"""Real images with captions as a source of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.training.method import Batch
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.data import Labelled
from dragoman_minizoo.images import LabelledImages
from dragoman_minizoo.vocabulary import TRAINING, Vocabulary, describe

__all__ = ["CaptionedImages", "captions_of"]


class CaptionedImages:
    """Batches of ``image``, as :class:`LabelledImages` draws them, and ``caption``: their class and their levels.

    Args:
        data: images and labels.
        boundaries: levels of the attributes, ``[K, 3, 2]``.
        words: what captions are made of.
        shift: images are moved by up to so many pixels each way.
    """

    def __init__(self, data: Labelled, boundaries: Tensor, words: Vocabulary = TRAINING, shift: int = 0) -> None:
        self.images, self.boundaries, self.words = LabelledImages(data, shift), boundaries, words

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Float ``[size, 1, 32, 32]`` and a list of str."""
        drawn = self.images.batch(size, generator)
        image, label = drawn["image"], drawn["label"]
        assert isinstance(image, Tensor)
        assert isinstance(label, Tensor)
        return {"image": image, "caption": captions_of(image, label, self.boundaries, self.words, generator)}


def captions_of(
    images: Tensor, labels: Tensor, boundaries: Tensor, words: Vocabulary, generator: torch.Generator
) -> list[str]:
    """A caption of each image ``[B, 1, 32, 32]`` in [0, 1], by its label and its measured levels."""
    rows = levels(measure(images), labels, boundaries).tolist()
    return [describe(label, row, words, generator)[0] for label, row in zip(labels.tolist(), rows, strict=True)]
