"""Signals of a translator's health while it is trained: figures in the log, and pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from dragoman.representation import length, select
from dragoman.training.method import Batch
from dragoman.training.trainer import Trainer, move
from dragoman.translator import Translator

__all__ = ["PICTURES", "Signals"]

#: Folder of the pictures inside of a run's.
PICTURES = "signals"
#: Pairs that are shown in a picture.
PICTURED = 4
READABLE_SIDE = 48


class Signals:
    """Asks a translator how it is doing, with its averaged weights; a trainer calls it before each checkpoint.

    Args:
        translator: what is trained.
        batch: pairs to ask about, always the same.
        trainer: whose log and folder the answers go to.
    """

    def __init__(self, translator: Translator, batch: Batch, trainer: Trainer) -> None:
        self.translator, self.batch, self.trainer = translator, batch, trainer

    @torch.no_grad()
    def __call__(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Write one line of the log, and one picture if the translator has any to show."""
        batch = move(self.batch, self.trainer.device)
        target, condition = batch["target"], batch["condition"]
        assert isinstance(target, Tensor)
        rows = list(range(min(PICTURED, length(condition))))
        with _holding(self.translator, weights):
            found = self.translator.signals(target, condition)
            shown = self.translator.sketch(target[rows], select(condition, rows))
        if found:
            self.trainer.log.write({"step": step, **{f"signals.{name}": value for name, value in found.items()}})
        if shown is not None:
            self._draw(step, shown, len(rows))

    def _draw(self, step: int, shown: Tensor, rows: int) -> None:
        from dragoman.images import grid, save_png

        folder = self.trainer.folder / PICTURES
        folder.mkdir(exist_ok=True)
        said = self.batch.get("caption")
        captions = said[:rows] if isinstance(said, list) and all(said[:rows]) else []
        scale = max(1, READABLE_SIDE // shown.shape[-1])
        save_png(grid(shown, len(shown) // rows, scale=scale, captions=captions), folder / f"step-{step:06d}.png")


@contextmanager
def _holding(translator: Translator, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The translator with other weights for the length of a block, not in training."""
    own = {name: value.clone() for name, value in translator.state_dict().items()}
    training = translator.training
    translator.load_state_dict(weights)
    translator.eval()
    try:
        yield
    finally:
        translator.load_state_dict(own)
        translator.train(training)
