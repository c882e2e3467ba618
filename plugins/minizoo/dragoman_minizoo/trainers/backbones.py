"""Classifiers in the layout of timm: VGG and Swin."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import torch
from torch import Tensor, nn

from dragoman.endpoint import load_expert
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.checkpoint import halve
from dragoman_minizoo.classification import Classification
from dragoman_minizoo.data import fashion_mnist
from dragoman_minizoo.images import LabelledImages
from dragoman_minizoo.trainers.running import Recipe, accuracy, labels_of, run

__all__ = ["timm"]


def timm(recipe: Recipe, out: Path, resume: bool) -> None:
    """A backbone of timm, by the ``config.json`` in the recipe; taught by the captioner's eye if ``taught``.

    The averaged weights of the latest checkpoint are always in ``OUT/model``.
    """
    # In here, so that the other recipes do without the plugin.
    from dragoman_timm.architecture import build_network
    from dragoman_timm.expert import Timm

    eye = load_expert("captioner-fashion")
    assert isinstance(eye, Captioner)
    teacher = eye.network if recipe["taught"] else None
    torch.manual_seed(recipe["training"]["seed"])
    expert = Timm(recipe["config"], build_network(recipe["config"]))
    expert.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepare = _Prepared(expert.preprocessing)
    method = Classification(expert.network, prepare=prepare, teacher=teacher, **recipe["method"])
    validation = fashion_mnist("validation")

    def keep(step: int, weights: Mapping[str, Tensor]) -> None:
        averaged = Timm(recipe["config"], copy.deepcopy(expert.network)).freeze()
        averaged.network.load_state_dict(weights)
        averaged.save_pretrained(out / "model")
        halve(out / "model")
        click.echo(
            f"step {step}: accuracy on the validation images {accuracy(labels_of(averaged), validation):.4f}", err=True
        )

    run(recipe, method, LabelledImages(fashion_mnist("train"), shift=recipe["data"]["shift"]), out, resume, keep)


class _Prepared(nn.Module):
    """An expert's preprocessing as a module without weights."""

    def __init__(self, preprocessing: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.preprocessing = preprocessing

    def forward(self, images: Tensor) -> Tensor:
        return self.preprocessing(images).contiguous(memory_format=torch.channels_last)
