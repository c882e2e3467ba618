"""Judging what was made for prompts: class by the judge, attributes by measurement, variety against real images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from dragoman.metrics import diversity
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.classifier import Classifier
from dragoman_minizoo.data import Labelled
from dragoman_minizoo.prompts import Prompts

__all__ = ["Judgement", "Jury", "reference_images"]

REFERENCE = Path(__file__).with_name("reference.safetensors")


def reference_images() -> Labelled:
    """The real test images that come with the mini zoo: 200 of each class, uint8 ``[2000, 1, 32, 32]``."""
    tensors = load_file(REFERENCE)
    return Labelled(torch.nn.functional.pad(tensors["images"], (2, 2, 2, 2)), tensors["labels"].long())


class Judgement(NamedTuple):
    """Figures of one set of images.

    Attributes:
        class_accuracy: share of images that the judge takes for the class in the prompt.
        attribute_accuracy: share of mentioned attributes that are measured at the level in the prompt; chance 1/3.
        diversity_ratio: mean distance within prompts, over that of real images which the prompt describes as well.
        class_diversity_ratio: the same, over that of all real images of the class.
    """

    class_accuracy: float
    attribute_accuracy: float
    diversity_ratio: float
    class_diversity_ratio: float


class Jury:
    """The judge, the measurements, and real images to compare with.

    Args:
        judge: a classifier that took no part in training or captioning.
        boundaries: levels of the attributes, ``[K, 3, 2]``.
    """

    def __init__(self, judge: Classifier, boundaries: Tensor) -> None:
        self.judge, self.boundaries = judge, boundaries
        real = reference_images()
        images = real.images.float() / 255
        self.label = real.labels
        self.levels = levels(measure(images), real.labels, boundaries)
        self.features, _ = self._look(images)
        self._class_spread = [self._spread(self.label == k) for k in range(len(boundaries))]

    def judge_images(self, images: Tensor, prompts: Prompts) -> Judgement:
        """Judge ``n`` images for each prompt, side by side: float ``[P * n, 1, 32, 32]`` in [0, 1]."""
        each = len(images) // len(prompts.captions)
        label = prompts.label.repeat_interleave(each)
        features, guessed = self._look(images)
        right = levels(measure(images), label, self.boundaries) == prompts.levels.repeat_interleave(each, dim=0)
        mentioned = prompts.mentioned.repeat_interleave(each, dim=0)
        spread = self._within(features, each)
        return Judgement(
            class_accuracy=float((guessed == label).float().mean()),
            attribute_accuracy=float(right[mentioned].float().mean()),
            diversity_ratio=spread / self._expected(prompts),
            class_diversity_ratio=spread
            / sum(self._class_spread[k] for k in prompts.label.tolist())
            * len(prompts.label),
        )

    def _within(self, features: Tensor, each: int) -> float:
        if each < 2:
            return 0.0
        return float(diversity(features.view(-1, each, features.shape[1])).mean())

    def _expected(self, prompts: Prompts) -> float:
        spreads: dict[tuple[int, ...], float] = {}
        total, counted = 0.0, 0
        for label, wanted, said in zip(prompts.label, prompts.levels, prompts.mentioned, strict=True):
            key = (int(label), *torch.where(said, wanted, -1).tolist())
            if key not in spreads:
                fits = (self.label == label) & ((self.levels == wanted) | ~said).all(dim=1)
                # One real image has no spread; the class stands in for it.
                spreads[key] = self._spread(fits) if int(fits.sum()) > 1 else self._class_spread[int(label)]
            total, counted = total + spreads[key], counted + 1
        return total / counted

    def _spread(self, chosen: Tensor) -> float:
        return float(diversity(self.features[chosen].unsqueeze(0)).mean())

    @torch.no_grad()
    def _look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and most likely classes of images."""
        network = self.judge.network
        features = torch.cat([network.features(part) for part in images.split(512)])
        return features, network.head(features).argmax(dim=1)
