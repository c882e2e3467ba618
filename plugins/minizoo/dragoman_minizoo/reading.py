"""Training of the reader's understanding of texts: captions of real images, with what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dragoman.expert import Expert
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman.training.seeding import generator_for
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.reader import UNSAID, Reader
from dragoman_minizoo.vocabulary import TRAINING, describe

__all__ = ["Captions", "Reading"]


class Captions:
    """Encoded captions with the class and the levels that they mention.

    Args:
        encoder: a text expert with the port ``pooled``.
        captioner: says what is seen.
        images: float ``[N, 1, 32, 32]`` in [0, 1].
        count: how many captions; images are used again and again, in other words.
        seed: of wording and mentions.
    """

    def __init__(self, encoder: Expert, captioner: Captioner, images: Tensor, count: int, seed: int) -> None:
        generator = generator_for(seed, "captions")
        label, levels = captioner.see(images)
        rows = torch.randint(len(images), (count,), generator=generator)
        self.label, levels = label[rows], levels[rows]
        written = [
            describe(one, row, TRAINING, generator)
            for one, row in zip(self.label.tolist(), levels.tolist(), strict=True)
        ]
        mentioned = torch.tensor([said for _, said in written])
        self.said = torch.where(mentioned, levels, UNSAID)
        condition = encoder.encode([caption for caption, _ in written], "pooled")
        assert isinstance(condition, Tensor)
        self.condition = condition

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``condition``, ``label`` and ``said`` drawn with replacement."""
        rows = torch.randint(len(self.label), (size,), generator=generator)
        return {"condition": self.condition[rows], "label": self.label[rows], "said": self.said[rows]}


class Reading(Method):
    """Learn what embeddings of captions say.

    Args:
        reader: only its text half moves.
        learning_rate: peak of Adam's learning rate.
        noise: standard deviation of noise on the embeddings, against words learnt by heart.
    """

    def __init__(self, reader: Reader, *, learning_rate: float, noise: float) -> None:
        super().__init__()
        self.reader, self.learning_rate, self.noise = reader, learning_rate, noise

    def phases(self) -> Sequence[Phase]:
        """One phase over the text half."""
        moves = list(self.reader.text.parameters())
        return (Phase("read", moves, self.learning_rate, weight_decay=0.01, warmup=50),)

    def trained(self) -> nn.Module:
        """The text half."""
        return self.reader.text

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``class`` and ``attributes`` per sample."""
        condition, label, said = batch["condition"], batch["label"], batch["said"]
        assert isinstance(condition, Tensor)
        assert isinstance(label, Tensor)
        assert isinstance(said, Tensor)
        noise = self.noise * torch.randn(condition.shape, generator=generator).to(condition)
        return self.reader.text_losses(condition + noise, label, said)
