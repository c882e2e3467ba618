"""Training of the reader's understanding of texts: captions of real images, with what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dragoman.endpoint import Endpoint
from dragoman.pairs.packed import join_kept, keep, taken
from dragoman.representation import disturb
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman.training.seeding import generator_for
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.reader import UNSAID, Reader
from dragoman_minizoo.vocabulary import TRAINING, describe

__all__ = ["Captions", "Reading"]


#: Captions that are encoded at once.
ENCODED = 2048


class Captions:
    """Encoded captions with the class and the levels that they mention.

    Args:
        source: the endpoint that encodes texts.
        captioner: says what is seen.
        images: float ``[N, 1, 32, 32]`` in [0, 1].
        count: how many captions; images are used again and again, in other words.
        seed: of wording and mentions.
    """

    def __init__(self, source: Endpoint, captioner: Captioner, images: Tensor, count: int, seed: int) -> None:
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
        captions = [caption for caption, _ in written]
        parts = [captions[start : start + ENCODED] for start in range(0, count, ENCODED)]
        self.condition = join_kept([keep(source.expert.encode(part, source.port.name)) for part in parts])

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``condition``, ``label`` and ``said`` drawn with replacement."""
        rows = torch.randint(len(self.label), (size,), generator=generator)
        return {"condition": taken(self.condition, rows), "label": self.label[rows], "said": self.said[rows]}


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
        assert isinstance(label, Tensor)
        assert isinstance(said, Tensor)
        return self.reader.text_losses(disturb(condition, self.noise, generator), label, said)
