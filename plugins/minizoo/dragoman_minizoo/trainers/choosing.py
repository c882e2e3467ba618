"""Which of a generator's snapshots is kept: the one whose samples lie closest to validation images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import torch
from torch import Tensor

from dragoman.expert import Expert
from dragoman.metrics import frechet_distance
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.data import fashion_mnist

__all__ = ["SAME", "SAMPLES", "Choice"]

#: Images that a snapshot is judged by.
SAMPLES = 5000
#: Distances within so much of each other are not told apart: 5,000 samples give no better estimate.
SAME = 1.05

#: Averaged weights to an expert, and to :data:`SAMPLES` of its images.
Sample = Callable[[Mapping[str, Tensor]], tuple[Expert, Tensor]]


class Choice:
    """Keeps the snapshot whose samples lie closest to validation images, in the captioner's features.

    Of snapshots that are equally close, the latest: its average runs over the most careful steps. Every snapshot is
    also left as ``step-N``.

    Args:
        sample: makes an expert of weights, and its images.
        out: folder of the run.
        eye: whose features count.
        resume: whether an interrupted run goes on.
    """

    def __init__(self, sample: Sample, out: Path, eye: Expert, resume: bool) -> None:
        assert isinstance(eye, Captioner)
        self.sample, self.out, self.eye = sample, out, eye
        self.real = self._features(fashion_mnist("validation").images.float() / 255)
        # Beside the model, so that a resumed run does not take a worse snapshot for the best one.
        self.record = out / "best.json"
        known = resume and self.record.exists()
        self.best = float(json.loads(self.record.read_text(encoding="utf-8"))) if known else float("inf")

    def __call__(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Judge a snapshot."""
        expert, images = self.sample(weights)
        distance = frechet_distance(self.real, self._features(images))
        better = distance <= SAME * self.best
        click.echo(f"step {step}: Frechet distance to validation {distance:.3f}{' (best)' if better else ''}", err=True)
        expert.half().save_pretrained(self.out / f"step-{step}")
        if better:
            self.best = min(distance, self.best)
            expert.save_pretrained(self.out / "model")
            self.record.write_text(json.dumps(self.best), encoding="utf-8")

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        return torch.cat([self.eye.network.features(part) for part in images.split(1000)])
