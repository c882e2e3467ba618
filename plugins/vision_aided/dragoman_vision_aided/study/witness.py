"""The study's witness: it judges by features that share neither images nor architecture with any critic."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_minizoo.classification import Classification
from dragoman_minizoo.classifier import MODEL_TYPE, Classifier
from dragoman_minizoo.data import LABELS, Labelled
from dragoman_minizoo.images import LabelledImages

__all__ = ["halves", "train_witness"]

#: A residual network; the zoo's critics are a VGG, a Swin, a CLIP and plain convolutions.
_CONFIG = {"model_type": MODEL_TYPE, "architecture": "residual", "widths": [32, 64, 128], "labels": list(LABELS)}


def halves(test: Labelled, compared: int) -> tuple[Labelled, Labelled]:
    """Test images that generators are compared with, and all others, which fix the features to compare in."""
    order = torch.randperm(len(test.labels), generator=generator_for(0, "test"))
    one, other = order[:compared], order[compared:]
    return Labelled(test.images[one], test.labels[one]), Labelled(test.images[other], test.labels[other])


def train_witness(others: Labelled, compared: Labelled, folder: Path, *, steps: int = 1200) -> str:
    """Train a classifier on test images that no critic saw, unless ``folder`` holds it; returns ``NAME=ADDRESS:PORT``.

    Args:
        others: what it is trained on.
        compared: images to tell its accuracy on.
        folder: where it goes.
        steps: of training, 128 images each.
    """
    if not (folder / "model.safetensors").is_file():
        torch.manual_seed(0)
        expert = Classifier(_CONFIG)
        method = Classification(expert.network, learning_rate=3e-3)
        settings = Settings(steps=steps, batch_size=128, seed=0, ema_decay=0.98, checkpoint_every=steps)
        Trainer(
            method, LabelledImages(others, shift=2), settings, folder.with_name(f".{folder.name}"), device="cpu"
        ).run()
        expert.freeze().save_pretrained(folder)
        right = (expert.labels(compared.images.float() / 255) == compared.labels).float().mean()
        click.echo(f"witness: accuracy {right:.3f} on the images that are compared", err=True)
    return f"judge-fashion={folder}:features"
