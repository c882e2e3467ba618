"""Plain supervised training of the small classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.training.method import Batch, Losses, Method, Phase

__all__ = ["Classification"]


class Classification(Method):
    """Cross-entropy with label smoothing.

    Args:
        network: images to logits.
        learning_rate: peak of AdamW's learning rate.
        smoothing: mass of the other classes.
    """

    def __init__(self, network: nn.Module, *, learning_rate: float, smoothing: float = 0.05) -> None:
        super().__init__()
        self.network = network
        self.learning_rate, self.smoothing = learning_rate, smoothing

    def phases(self) -> Sequence[Phase]:
        """One phase over all parameters."""
        moves = list(self.network.parameters())
        return (Phase("classify", moves, self.learning_rate, weight_decay=0.02, warmup=200),)

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``cross_entropy`` per sample."""
        image, label = batch["image"], batch["label"]
        assert isinstance(image, Tensor)
        assert isinstance(label, Tensor)
        logits = self.network(image).float()
        return {"cross_entropy": F.cross_entropy(logits, label, label_smoothing=self.smoothing, reduction="none")}
