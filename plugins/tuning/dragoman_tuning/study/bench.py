"""What the tasks of the study share: the mini zoo, real images, one tuning, one line of figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from dragoman.endpoint import load_expert
from dragoman.expert import Expert
from dragoman_minizoo.data import LABELS, fashion_mnist
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.evaluation import evaluate, sample_embedding
from dragoman_tuning.objective import Objective
from dragoman_tuning.study.eight import train_eight
from dragoman_tuning.tuning import Budget, tune_embeddings
from dragoman_tuning.wanted import Wanted

__all__ = ["Row", "StudyBench"]

#: One line of the report: task, class, method, seed, and the figures.
Row = dict[str, Any]

#: About 15 seconds of one core for each class.
BUDGET = Budget(steps=100, batch_size=32, starts=1)
SAMPLES = 1000


class StudyBench:
    """The generator, the guide and the judge.

    Args:
        out: folder of the study.
        eight: checkpoint of the generator of eight classes; trained when it is needed, without one.
    """

    def __init__(self, out: Path, eight: Path | None) -> None:
        self.out, self.given = out, eight
        self.gan = load_expert("biggan-fashion")
        self.guide, self.judge = Classifier.load("guide-fashion"), Classifier.load("judge-fashion")
        self.train, self.test = fashion_mnist("train"), fashion_mnist("test")

    def eight(self) -> Expert:
        """The generator of eight classes."""
        folder = self.given or self.out / "eight" / "model"
        if not (folder / "config.json").exists():
            run = self.out / "eight"
            folder = train_eight(run, 5000, resume=(run / "checkpoint.pt").exists())
        return load_expert("biggan", str(folder))

    def real(self, name: str, split: str) -> Tensor:
        """Real images of a class: 3,000 to tune with (``"train"``), or the 1,000 of the test set."""
        data = self.train if split == "train" else self.test
        return data.images[data.labels == LABELS.index(name)][:3000].float() / 255

    def tune(self, target: Expert, name: str, own: int | None, objective: Objective, seed: int, steps: int) -> Tensor:
        """A tuned embedding ``[d]``."""
        real = [self.real(name, "train")] if objective.looks else []
        wanted = [Wanted(name, LABELS.index(name), own)]
        folder = self.out / "runs" / f"{name}-{seed}".replace(" ", "-")
        budget = replace(BUDGET, seed=seed, steps=steps)
        return tune_embeddings(target, self.guide, wanted, objective, budget, folder, real=real).embeddings[0]

    def row(self, target: Expert, embedding: Tensor, name: str, method: str, seed: int | None) -> tuple[Row, Tensor]:
        """The figures of an embedding, and its first samples."""
        images = sample_embedding(target, embedding, SAMPLES)
        figures = evaluate(images, name, self.guide, self.judge, self.real(name, "test")).to_dict()
        row = {"class": name, "method": method, "seed": seed, **figures}
        click.echo(json.dumps(row), err=True)
        return row, images[:10]
