"""What every recipe shares: a run of the trainer, and what is said of the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import click
import torch
from torch import Tensor

from dragoman.expert import Expert
from dragoman.training.method import BatchSource, Method
from dragoman.training.trainer import Settings, Trainer
from dragoman_minizoo.data import Labelled, fashion_mnist

__all__ = ["Recipe", "accuracy", "labels_of", "run", "say_accuracy"]

#: Content of a recipe's TOML file.
Recipe: TypeAlias = Mapping[str, Any]


def run(
    recipe: Recipe,
    method: Method,
    data: BatchSource,
    out: Path,
    resume: bool,
    snapshot: Callable[[int, Mapping[str, Tensor]], None] | None = None,
) -> None:
    """Train by the recipe's entry ``training``."""
    Trainer(method, data, Settings(**recipe["training"]), out).run(resume=resume, snapshot=snapshot)


@torch.no_grad()
def accuracy(labels: Callable[[Tensor], Tensor], data: Labelled) -> float:
    """Share of images whose class is right; ``labels`` takes images in [0, 1]."""
    right = torch.cat([labels(part.float() / 255) for part in data.images.split(1000)]) == data.labels
    return float(right.float().mean())


def labels_of(expert: Expert) -> Callable[[Tensor], Tensor]:
    """Images to the most likely classes, by an expert with the port ``logits``."""

    def labels(images: Tensor) -> Tensor:
        logits = expert.encode(images, "logits")
        assert isinstance(logits, Tensor)
        return logits.argmax(dim=1)

    return labels


def say_accuracy(labels: Callable[[Tensor], Tensor]) -> None:
    """Print the accuracy on the test images."""
    click.echo(f"accuracy on the test images: {accuracy(labels, fashion_mnist('test')):.4f}", err=True)
