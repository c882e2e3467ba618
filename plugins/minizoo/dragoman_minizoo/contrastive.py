"""Contrastive training of a pair of encoders on images and their captions."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.texts import pad
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_clip.preprocessing import Preprocessing
from dragoman_minizoo.spelling import Spelling

__all__ = ["Contrastive"]

#: Bound of the logarithm of the factor of cosines (Radford et al. 2021, section 2.5).
_LARGEST_SCALE = log(100)


class Contrastive(Method):
    """Which caption belongs to which image of the batch, and which image to which caption.

    Radford et al. 2021 (arXiv:2103.00020), figure 3. A batch has ``image``, float ``[B, C, H, W]`` in [0, 1], and
    ``caption``, a list of str.

    Args:
        network: a ``CLIPModel`` of transformers.
        preprocessing: what happens to images first.
        spelling: texts to token ids.
        learning_rate: peak of AdamW's learning rate.
        weight_decay: of matrices; scales, biases and the logit scale have none.
        warmup: steps of linear warm-up.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        spelling: Spelling,
        *,
        learning_rate: float,
        weight_decay: float = 0.1,
        warmup: int = 200,
    ) -> None:
        super().__init__()
        self.network, self.preprocessing, self.spelling = network, preprocessing, spelling
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup

    def phases(self) -> Sequence[Phase]:
        """One phase over both towers."""
        moves = list(self.network.parameters())
        weights = {"image_to_text": 0.5, "text_to_image": 0.5}
        decay = self.weight_decay
        return (Phase("match", moves, self.learning_rate, (0.9, 0.98), decay, weights, warmup=self.warmup, clip=1.0),)

    def trained(self) -> nn.Module:
        """Both towers."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``image_to_text`` and ``text_to_image``, cross-entropy over the batch, ``[B]`` each."""
        image, caption = batch["image"], batch["caption"]
        assert isinstance(image, Tensor)
        assert isinstance(caption, list)
        rows = self.spelling.spell(caption, generator)
        ids, _ = pad(rows, self.spelling.end, image.device)
        network: Any = self.network
        network.logit_scale.data.clamp_(max=_LARGEST_SCALE)
        output = network(input_ids=ids, pixel_values=self.preprocessing(image))
        logits = output.logits_per_image.float()
        own = torch.arange(len(logits), device=logits.device)
        return {
            "image_to_text": F.cross_entropy(logits, own, reduction="none"),
            "text_to_image": F.cross_entropy(logits.mT, own, reduction="none"),
        }
