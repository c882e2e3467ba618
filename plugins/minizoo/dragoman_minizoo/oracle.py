"""The best that a generator can do for a prompt: samples of its own, drawn until they fit what the prompt means."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.expert import Expert
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.prompts import Prompts

__all__ = ["Oracle"]

#: Samples to choose from.
COUNT = 12_000


class Oracle:
    """Rejection sampling by the captioner's eye, with the meaning of each prompt given.

    No translator reads this much, and none can be right more often and more varied at once without changing the
    generator's distribution: it is the limit of a generator, not a competitor.

    Args:
        expert: the generator.
        captioner: declines images of doubtful class, and sees class and levels of the others.
        port: where the generator's latents are drawn.
        spread: how widely.
        generator: draws the samples.
    """

    def __init__(
        self, expert: Expert, captioner: Captioner, port: str, spread: float, generator: torch.Generator
    ) -> None:
        images, seen = [], []
        for _ in range(COUNT // 500):
            drawn = expert.decode(expert.draw(port, 500, generator=generator, spread=spread), port)
            look = captioner.look(drawn)
            images.append(drawn[look.sure])
            seen.append((look.labels[look.sure], look.levels[look.sure]))
        self.images = torch.cat(images)
        self.label, self.levels = (torch.cat(column) for column in zip(*seen, strict=True))

    def show(self, prompts: Prompts, each: int, generator: torch.Generator) -> Tensor:
        """``each`` fitting images for every prompt, side by side; of its class alone where fewer than that fit."""
        chosen = []
        for label, levels, said in zip(prompts.label, prompts.levels, prompts.mentioned, strict=True):
            same = self.label == label
            fitting = (same & ((self.levels == levels) | ~said).all(dim=1)).nonzero()[:, 0]
            rows = fitting if len(fitting) >= each else same.nonzero()[:, 0]
            chosen.append(rows[torch.randperm(len(rows), generator=generator)[:each]])
        return self.images[torch.cat(chosen)]
