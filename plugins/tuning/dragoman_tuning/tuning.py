"""The procedure: starts are drawn and screened, all are tuned at once, and each class keeps its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.training.seeding import generator_for
from dragoman.training.settings import Settings
from dragoman.training.trainer import Trainer
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.method import Embeddings, EmbeddingTuning, Latents
from dragoman_tuning.objective import Objective
from dragoman_tuning.points import bounds, extended
from dragoman_tuning.starts import candidates, choose, most_recognised
from dragoman_tuning.wanted import Wanted

__all__ = ["Budget", "Tuned", "tune_embeddings"]

#: Latents on which starts are screened and results compared, and how many real images stand beside them.
_SCREENED = 64
_COMPARED = 256


@dataclass(frozen=True)
class Budget:
    """How long and how often.

    Args:
        steps: of Adam.
        batch_size: latents in a step; every run sees the same.
        starts: runs for each class, of which the best by the objective is kept.
        seed: of everything that is drawn.
        precision: as in :class:`~dragoman.training.settings.Settings`.
    """

    steps: int = 120
    batch_size: int = 64
    starts: int = 2
    seed: int = 0
    precision: str = "auto"

    def settings(self, objective: Objective) -> Settings:
        """As the trainer's settings."""
        return Settings(
            steps=self.steps,
            batch_size=self.batch_size,
            seed=self.seed,
            ema_decay=objective.average,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Tuned:
    """The result.

    Attributes:
        embeddings: the best of each class ``[C, d]``, points ``[C, d + 2 Z]`` where a region of z was learned.
        values: their objective on latents of their own ``[C]``.
        all: those of every run ``[C, S, d]``.
        all_values: objectives of every run ``[C, S]``.
        losses: mean terms of the last step.
        seconds: spent in steps.
    """

    embeddings: Tensor
    values: Tensor
    all: Tensor
    all_values: Tensor
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"seconds": round(self.seconds, 1), "objective": [round(v, 4) for v in self.values.tolist()]}


def tune_embeddings(
    target: Expert,
    critic: Classifier,
    wanted: Sequence[Wanted],
    objective: Objective,
    budget: Budget,
    folder: Path,
    *,
    real: Sequence[Tensor] = (),
    resume: bool = False,
) -> Tuned:
    """Tune.

    The embeddings that are being replaced do not count as trained ones: neither the mean nor the range nor the density
    may learn from what is broken.

    Args:
        target: the generator.
        critic: the classifier of the objective.
        wanted: the classes.
        objective: what is minimised.
        budget: how long.
        folder: for the log and the checkpoint.
        real: real images of each class, for an objective that looks at them.
        resume: go on with the run in the folder.

    Raises:
        PortError: the target has no class embeddings.
        InputError: the objective needs real images and there are none, or a start that a class does not have.
    """
    table = _table(target)
    kept = [row for row in range(len(table)) if objective.start == "own" or row not in {entry.own for entry in wanted}]
    if len(kept) < 2:
        raise InputError("Fewer than two classes would remain as they are; there is nothing to learn from them.")
    others = table[kept]
    pools = [images.to(table) for images in real] if objective.looks else []
    if objective.looks and not pools:
        raise InputError(
            "This objective compares with real images; give a folder with --real, or choose another preset."
        )
    labels = [entry.label for entry in wanted]
    low, high = float(others.min()), float(others.max())
    data = Latents(target, [pool.cpu() for pool in pools])
    size, z = table.shape[1], int(target.port("z").shape[0]) if objective.region else 0
    blank = Embeddings(extended(others[:1], z).expand(len(wanted), budget.starts, -1), *bounds(low, high, size, z))
    method = EmbeddingTuning(blank, target, critic, labels, others, objective).to(table.device)
    begin = _starts(method, table, others, wanted, pools, budget)
    blank.value.data.copy_(extended(begin.clamp(low, high), z))
    trainer = Trainer(method, data, budget.settings(objective), folder, device=table.device)
    result = trainer.run(resume=resume)
    return _best(method, labels, pools, budget, result.seconds, result.losses)


def _table(target: Expert) -> Tensor:
    atoms = target.atoms("class_embedding") if "class_embedding" in target.ports else None
    if atoms is None or "z" not in target.ports:
        raise PortError(f"{type(target).__name__} has no class embeddings to tune; take a BigGAN.")
    return atoms.values


def _starts(
    method: EmbeddingTuning,
    table: Tensor,
    others: Tensor,
    wanted: Sequence[Wanted],
    pools: Sequence[Tensor],
    budget: Budget,
) -> Tensor:
    """``[C, S, d]``."""
    objective, found = method.objective, []
    z = _latents(method, _SCREENED, budget.seed, "screen")
    for index, entry in enumerate(wanted):
        count = budget.starts * objective.screen
        if objective.start == "top":
            given = most_recognised(method, others, entry.label, count, z)
        else:
            generator = generator_for(budget.seed, "starts", entry.name)
            own = None if entry.own is None else table[entry.own]
            given = candidates(objective.start, others, count, own=own, noise=objective.noise, generator=generator)
        real = _some(pools[index], _SCREENED) if pools else None
        if objective.screen > 1:
            given, _ = choose(method, given, entry.label, budget.starts, z, real)
        found.append(given)
    return torch.stack(found)


def _best(
    method: EmbeddingTuning,
    labels: Sequence[int],
    pools: Sequence[Tensor],
    budget: Budget,
    seconds: float,
    losses: dict[str, float],
) -> Tuned:
    everything = method.embeddings.inside().detach().unflatten(0, (len(labels), -1))
    z = _latents(method, _COMPARED, budget.seed, "compare")
    reals: list[Tensor | None] = [_some(pool, _COMPARED) for pool in pools]
    reals = reals or [None] * len(labels)
    pairs = zip(everything, labels, reals, strict=True)
    values = torch.stack([method.values(runs, label, z, real) for runs, label, real in pairs])
    best = values.argmin(dim=1)
    rows = torch.arange(len(labels), device=best.device)
    return Tuned(everything[rows, best], values[rows, best], everything, values, seconds, losses)


def _latents(method: EmbeddingTuning, count: int, seed: int, what: str) -> Tensor:
    return method.target.draw("z", count, generator=generator_for(seed, what)).to(method.embeddings.value)


def _some(pool: Tensor, count: int) -> Tensor:
    """Real images spread over the whole pool, the same at every call."""
    step = max(1, len(pool) // count)
    return pool[::step][:count]


def describe(objective: Objective, budget: Budget) -> dict[str, Any]:
    """Objective and budget, JSON-ready."""
    return {"objective": asdict(objective), "budget": asdict(budget)}
