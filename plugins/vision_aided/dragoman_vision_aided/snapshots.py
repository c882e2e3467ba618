"""Snapshots of a stage: measured, written down, and the best one kept with everything that training needs to go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.atomic import replacing
from dragoman.training.checkpoint import load_checkpoint, save_checkpoint
from dragoman.training.trainer import Trainer
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2

__all__ = ["Snapshots", "averaged_weights", "go_on_from", "load_best", "read_curve"]

BEST, CURVE = "best.pt", "snapshots.json"
_ENTRIES = ("trained", "average", "optimizers", "images")


class Snapshots:
    """Called by the trainer at each snapshot; writes ``snapshots.json`` and ``best.pt`` into the stage's folder.

    Args:
        folder: of the stage.
        trainer: runs an :class:`~dragoman_stylegan2.adversarial.AdversarialStyleGAN2`.
        measure: the generator's averaged weights to figures, among them ``distance``, the smaller the better.
        resume: whether to go on with what the folder holds.
    """

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        measure: Callable[[Mapping[str, Tensor]], dict[str, float]],
        resume: bool,
    ) -> None:
        self.folder, self.trainer, self.measure = folder, trainer, measure
        self.curve = read_curve(folder) if resume and (folder / CURVE).exists() else []

    @property
    def best(self) -> dict[str, float] | None:
        """The snapshot with the smallest distance so far."""
        return min(self.curve, key=lambda entry: entry["distance"], default=None)

    def __call__(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Measure, keep if it is the best, write down."""
        # What a kill cut off between snapshot and checkpoint is made again, and measured again.
        self.curve = [entry for entry in self.curve if entry["step"] < step]
        method = self.trainer.method
        assert isinstance(method, AdversarialStyleGAN2)
        entry = {"step": step, "images": int(method.networks.images), **self.measure(weights)}
        before = self.best
        if before is None or entry["distance"] < before["distance"]:
            save_checkpoint(self.folder / BEST, _state(self.trainer) | {"images": entry["images"]})
        self.curve.append(entry)
        with replacing(self.folder / CURVE) as file:
            file.write((json.dumps(self.curve, indent=1) + "\n").encode())


def read_curve(folder: Path) -> list[dict[str, float]]:
    """All snapshots of a stage: ``step``, ``images``, ``distance``."""
    curve: list[dict[str, float]] = json.loads((folder / CURVE).read_text(encoding="utf-8"))
    return curve


def load_best(folder: Path) -> dict[str, Any]:
    """The best snapshot of a stage: ``trained``, ``average``, ``optimizers``, ``images``.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    return load_checkpoint(folder / BEST, _ENTRIES)


def averaged_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The generator's averaged weights in a snapshot of :func:`load_best`."""
    return {name: value for name, value in state["average"].items() if name}


def go_on_from(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put a snapshot of an earlier stage into a trainer whose method may have further critics.

    Networks, averages and the optimisers' state are taken over; heads that are new keep their first weights.

    Args:
        trainer: of the new stage, which has made no step.
        state: of :func:`load_best`.
    """
    trained = trainer.method.trained()
    trained.load_state_dict(_over(trained, state["trained"]))
    trainer.average.load_state_dict(state["average"])
    for name, optimizer in trainer.optimizers.items():
        if name in state["optimizers"]:
            _take_over(optimizer, state["optimizers"][name])


def _state(trainer: Trainer) -> dict[str, Any]:
    return {
        "trained": trainer.method.trained().state_dict(),
        "average": trainer.average.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()},
    }


def _over(module: nn.Module, earlier: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = module.state_dict()
    assert earlier.keys() <= state.keys(), "critics are added behind those that are there"
    return {**state, **earlier}


def _take_over(optimizer: torch.optim.Optimizer, earlier: Mapping[str, Any]) -> None:
    # Parameters are numbered in their order, and those of new critics come last.
    optimizer.load_state_dict({**optimizer.state_dict(), "state": earlier["state"]})
