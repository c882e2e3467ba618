"""Supervised training of the small classifiers, with a teacher where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.training.method import Batch, Losses, Method, Phase

__all__ = ["Classification"]


class Classification(Method):
    """Cross-entropy with label smoothing, and to a teacher's probabilities (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        network: images to logits.
        learning_rate: peak of AdamW's learning rate.
        smoothing: mass of the other classes.
        weight_decay: of AdamW.
        prepare: what happens to images in [0, 1] before the network sees them; nothing when omitted.
        teacher: images in [0, 1] to logits; frozen.
        trust: share of the teacher in the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        smoothing: float = 0.05,
        weight_decay: float = 0.02,
        prepare: nn.Module | None = None,
        teacher: nn.Module | None = None,
        trust: float = 0.5,
    ) -> None:
        super().__init__()
        self.network, self.prepare, self.teacher = network, prepare or nn.Identity(), teacher
        self.learning_rate, self.smoothing, self.weight_decay = learning_rate, smoothing, weight_decay
        self.trust = trust if teacher is not None else 0.0

    def phases(self) -> Sequence[Phase]:
        """One phase over all parameters."""
        moves, decay = list(self.network.parameters()), self.weight_decay
        weights = {"cross_entropy": 1 - self.trust, "teacher": self.trust}
        return (Phase("classify", moves, self.learning_rate, weight_decay=decay, weights=weights, warmup=200),)

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``cross_entropy``, and with a teacher ``teacher``, per sample."""
        image, label = batch["image"], batch["label"]
        assert isinstance(image, Tensor)
        assert isinstance(label, Tensor)
        logits = self.network(self.prepare(image)).float()
        losses = {"cross_entropy": F.cross_entropy(logits, label, label_smoothing=self.smoothing, reduction="none")}
        if self.teacher is not None:
            losses["teacher"] = F.cross_entropy(logits, self._taught(image), reduction="none")
        return losses

    @torch.no_grad()
    def _taught(self, image: Tensor) -> Tensor:
        assert self.teacher is not None
        probabilities: Tensor = self.teacher(image).float().softmax(dim=1)
        return probabilities
