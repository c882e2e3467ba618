"""Small critics for the study: architectures of timm, each pretrained on other drawn images."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import click
import torch

from dragoman.training.trainer import Settings, Trainer
from dragoman_minizoo.classification import Classification
from dragoman_timm.architecture import build_network
from dragoman_timm.expert import Timm
from dragoman_vision_aided.study.procedural import SIDE, make

__all__ = ["BANK", "ZOO", "configuration", "pretrain"]

_VIT = {"img_size": SIDE, "patch_size": 4, "embed_dim": 64, "depth": 4, "num_heads": 4}
#: Task, architecture, its arguments, and the taps of the critic.
BANK: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "characters-vgg": ("characters", "vgg11_bn", {"cfg": [16, "M", 32, "M", 64, "M"], "mlp_ratio": 1 / 64}, "stage.2"),
    "heaps-convnext": (
        "heaps",
        "convnext_atto",
        {"depths": [1, 1, 2, 1], "dims": [24, 32, 48, 64], "patch_size": 2},
        "stage.1+stage.2",
    ),
    "pictograms-vgg": (
        "pictograms",
        "vgg11_bn",
        {"cfg": [24, "M", 48, "M", 96, "M"], "mlp_ratio": 1 / 32},
        "stage.2+stage.3",
    ),
    "waves-vit": ("waves", "vit_tiny_patch16_224", _VIT, "stage.1+pooled"),
}
#: Experts of the mini zoo, which were trained on 55,000 garments, by their labels or by captions.
ZOO = ("vgg-fashion:stage.2+stage.3", "swin-fashion:stage.1+stage.2", "clip-fashion", "guide-fashion:features")
_IMAGES, _HELD_OUT = 6000, 500


def pretrain(name: str, folder: Path, *, steps: int = 500, seed: int = 0) -> str:
    """Train one critic's expert unless ``folder/NAME`` holds it; returns its entry in a bank.

    Args:
        name: in :data:`BANK`.
        folder: where the experts go.
        steps: of training, 64 images each.
        seed: of images, weights and training.
    """
    task, architecture, options, taps = BANK[name]
    place = folder / name
    if not (place / "model.safetensors").is_file():
        data = make(task, _IMAGES, seed)
        config = configuration(architecture, options, data.classes)
        # The expert itself freezes what it holds, and wants images as they are.
        network = _new(config, seed)
        method = Classification(_Normalised(network), learning_rate=2e-3)
        settings = Settings(steps=steps, batch_size=64, seed=seed, ema_decay=0.98, checkpoint_every=steps)
        Trainer(method, data, settings, folder / f".{name}", device="cpu").run()
        expert = Timm(config, copy.deepcopy(network)).freeze()
        expert.save_pretrained(place)
        test = make(task, _HELD_OUT, seed + 1)
        logits = expert.encode(test.images.float() / 255, "logits")
        assert isinstance(logits, torch.Tensor)
        right = (logits.argmax(dim=1) == test.labels).float().mean()
        click.echo(f"{name}: held-out accuracy {right:.3f} of {test.classes} classes", err=True)
    return f"timm={place}:{taps}"


class _Normalised(torch.nn.Module):
    """The network behind the normalisation that its configuration names."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network((images - 0.5) / 0.25)
        return logits


def _new(config: dict[str, Any], seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(config)


def configuration(architecture: str, options: dict[str, Any], classes: int) -> dict[str, Any]:
    """Content of a timm checkpoint's ``config.json``, for grey images of 32 pixels."""
    scaling = {"input_size": [1, SIDE, SIDE], "interpolation": "bilinear", "crop_pct": 1.0}
    return {
        "architecture": architecture,
        "num_classes": classes,
        "model_args": {"in_chans": 1, **options},
        "pretrained_cfg": {**scaling, "mean": [0.5], "std": [0.25], "num_classes": classes},
    }
