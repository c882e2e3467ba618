"""A tuning from what the user asks to the saved package and its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.expert import Expert
from dragoman.training.device import choose_device, is_main_process
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.ensemble import Ensemble
from dragoman_tuning.evaluation import Figures, check_judge, evaluate, sample_embedding
from dragoman_tuning.objective import Objective, start_of
from dragoman_tuning.packaging import as_fusion
from dragoman_tuning.real import Real, read_real
from dragoman_tuning.tuning import Budget, describe, tune_embeddings
from dragoman_tuning.wanted import Wanted, parse_classes

__all__ = ["Report", "Request", "carry_out"]


@dataclass(frozen=True)
class Request:
    """What ``dragoman tune`` is asked for; the fields are its options."""

    model: str
    task: str
    classes: Sequence[str]
    critic: str
    judge: str
    real: Path | None = None
    preset: str | None = None
    start: str | None = None
    diversity: float | None = None
    space: str | None = None
    starts: int = 2
    steps: int = 120
    batch_size: int = 64
    samples: int = 1000
    seed: int = 0
    device: str | None = None
    resume: bool = False

    def objective(self) -> Objective:
        """The preset, the task's start, and what was said beside them."""
        name = self.preset or ("realistic" if self.real is not None else "prior")
        said = {"start": self.start or start_of(self.task, name), "diversity": self.diversity, "space": self.space}
        return Objective.preset(name, {key: value for key, value in said.items() if value is not None})


@dataclass(frozen=True)
class Report:
    """Figures of each class, before (of the class's own embedding, or of the most recognised one) and after."""

    before: dict[str, Figures]
    after: dict[str, Figures]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            name: {"before": self.before[name].to_dict(), "after": figures.to_dict()}
            for name, figures in self.after.items()
        }

    def lines(self) -> list[str]:
        """For people: one line for each class and state."""
        states = (("before", self.before), ("after", self.after))
        return [f"{name}, {state}: {_say(known[name])}" for name in self.after for state, known in states]


def carry_out(request: Request, out: Path) -> Report:
    """Tune, evaluate, and save the package and the report.

    Raises:
        DragomanError: something that was asked for does not exist or does not fit.
    """
    place = choose_device(request.device)
    spec = EndpointSpec.parse(request.model)
    target = load_expert(spec.expert, spec.address, device=place)
    critic, judge = Ensemble.load(request.critic, place), Classifier.load(request.judge, place)
    check_judge(critic, judge)
    objective = request.objective()
    atoms = target.atoms("class_embedding") if "class_embedding" in target.ports else None
    rows = 0 if atoms is None else len(atoms.values)
    wanted = parse_classes(request.classes, critic, rows, seen=request.task != "repurpose")
    for entry in wanted:
        judge.label(entry.name)  # an unknown name must not be found out after the work
    channels, height, width = (int(size) for size in target.port("image").shape)
    names = [entry.name for entry in wanted]
    real = read_real(request.real, names, (channels, height, width)) if request.real is not None else []
    budget = Budget(request.steps, request.batch_size, request.starts, request.seed)
    tuned = tune_embeddings(
        target, critic, wanted, objective, budget, out, real=[each.tuning for each in real], resume=request.resume
    )
    bench = Bench(target, critic, judge, request.samples, request.seed)
    before = {entry.name: bench.figures(bench.previous(entry), entry, _of(real, i)) for i, entry in enumerate(wanted)}
    after = {entry.name: bench.figures(tuned.embeddings[i], entry, _of(real, i)) for i, entry in enumerate(wanted)}
    report = Report(before, after)
    recipe = {"task": request.task, "model": request.model, "classes": list(request.classes)}
    recipe |= {"critic": request.critic, "judge": request.judge, **describe(objective, budget)}
    facts = {"recipe": recipe, "training": tuned.facts(), "figures": _figures(report, request)}
    if is_main_process():
        as_fusion(spec.expert, target, names, tuned.embeddings, facts).save_pretrained(out / "model")
        (out / "report.json").write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    return report


@dataclass(frozen=True)
class Bench:
    """What embeddings are evaluated with."""

    target: Expert
    critic: Classifier
    judge: Classifier
    samples: int
    seed: int

    def figures(self, embedding: Tensor, entry: Wanted, real: Tensor | None) -> Figures:
        """Figures of one embedding ``[d]`` as a class."""
        images = sample_embedding(self.target, embedding, self.samples, self.seed)
        return evaluate(images, entry.name, self.critic, self.judge, real)

    def previous(self, entry: Wanted) -> Tensor:
        """What the generator had for the class: its own embedding, or the one that the critic most takes for it."""
        atoms = self.target.atoms("class_embedding")
        assert atoms is not None
        if entry.own is not None:
            return atoms.values[entry.own]
        shares = [self._share(row, entry) for row in atoms.values]
        return atoms.values[int(torch.stack(shares).argmax())]

    def _share(self, row: Tensor, entry: Wanted) -> Tensor:
        images = sample_embedding(self.target, row, 64, self.seed)
        return self.critic.look(images).logits.softmax(dim=1)[:, entry.label].mean()


def _of(real: Sequence[Real], index: int) -> Tensor | None:
    return real[index].evaluation if real else None


def _figures(report: Report, request: Request) -> dict[str, Any]:
    return {**report.to_dict(), "samples": request.samples, "features": request.judge, "seed": request.seed}


def _say(figures: Figures) -> str:
    said = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.to_dict().items()]
    return ", ".join(said)
