"""Breaking embeddings on purpose, so that there is something to repair."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dragoman.expert import Expert
from dragoman.training.method import Phase
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Trainer
from dragoman_biggan.expert import BigGAN
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.method import Embeddings, EmbeddingTuning, Latents
from dragoman_tuning.objective import Objective
from dragoman_tuning.tuning import Budget

__all__ = ["collapse", "destroy", "with_embedding"]


class _Collapse(EmbeddingTuning):
    """Tuning towards *less* diversity."""

    def phases(self) -> Sequence[Phase]:
        """The same, with the sign of the diversity turned."""
        (phase,) = super().phases()
        return (replace(phase, weights={**phase.weights, "diversity": -phase.weights["diversity"]}),)


def collapse(target: Expert, critic: Classifier, row: int, label: int, steps: int, folder: Path) -> Tensor:
    """An embedding ``[d]`` that is still recognised, but whose samples resemble each other, more so with more steps."""
    atoms = target.atoms("class_embedding")
    assert atoms is not None
    table = atoms.values
    start = Embeddings(table[row][None, None], float(table.min()), float(table.max()))
    method = _Collapse(start, target, critic, [label], table, Objective(diversity=5.0, learning_rate=0.05))
    settings = Budget(steps, 24, 1).settings(method.objective)
    Trainer(method, Latents(target), settings, folder, device="cpu").run()
    return start.inside().detach()[0]


def destroy(target: Expert, row: int, seed: int) -> Tensor:
    """A class's own embedding ``[d]`` plus noise of 2.5 times the spread of all of them."""
    atoms = target.atoms("class_embedding")
    assert atoms is not None
    noise = torch.randn(atoms.values.shape[1], generator=generator_for(seed, "destroy"))
    return atoms.values[row] + 2.5 * atoms.values.std() * noise


def with_embedding(target: Expert, row: int, embedding: Tensor) -> BigGAN:
    """A copy of the generator that has another embedding for one class."""
    assert isinstance(target, BigGAN)
    network = copy.deepcopy(target.network)
    shared = network.get_submodule("shared")
    assert isinstance(shared, nn.Embedding)
    shared.weight.data[row] = embedding
    return BigGAN(target.config, network)
