"""The three tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from dragoman.expert import Expert
from dragoman_minizoo.data import LABELS
from dragoman_tuning.objective import Objective, start_of
from dragoman_tuning.study.bench import BUDGET, Row, StudyBench
from dragoman_tuning.study.damage import collapse, destroy, with_embedding
from dragoman_tuning.study.eight import HELD_OUT

__all__ = ["TASKS"]

Result = tuple[list[Row], dict[str, Tensor]]

#: Presets that are compared; where there is a variety to bring back, the two that aim at it most directly.
METHODS = ("published", "prior", "realistic")
#: One shoe, whose embedding lies close to others, and one garment that lies apart.
BROKEN = ("sneaker", "dress")
#: The preset ``recognised`` without a region of z.
ALONE = "recognised, embedding alone"
#: Steps where much weight on recognition has to be reconciled with realism.
_LONGER = 200


class _Lines:
    """Rows of the report, and one row of pictures for each state of each class."""

    def __init__(self, bench: StudyBench) -> None:
        self.bench = bench
        self.rows: list[Row] = []
        self.images: dict[str, Tensor] = {}

    def add(self, target: Expert, embedding: Tensor, name: str, method: str, seed: int | None = None) -> None:
        row, images = self.bench.row(target, embedding, name, method, seed)
        self.rows.append(row)
        self.images.setdefault(f"{name}: {method}", images)

    def real(self, name: str) -> None:
        """Real images among the pictures."""
        self.images[f"{name}: real"] = self.bench.real(name, "test")[:10]


def _objective(task: str, preset: str) -> Objective:
    if preset == ALONE:
        return replace(_objective(task, "recognised"), region=False)
    return Objective.preset(preset, {"start": start_of(task, preset)})


def repair(bench: StudyBench, seeds: Sequence[int]) -> Result:
    """An embedding is destroyed, or collapses; the search does not look at it, so one repair serves both."""
    lines = _Lines(bench)
    for name in BROKEN:
        row = LABELS.index(name)
        lines.real(name)
        lines.add(bench.gan, _table(bench)[row], name, "original")
        lines.add(bench.gan, destroy(bench.gan, row, 0), name, "destroyed")
        broken = collapse(bench.gan, bench.guide, row, row, 60, bench.out / "runs" / "collapse")
        lines.add(bench.gan, broken, name, "collapsed")
        target = with_embedding(bench.gan, row, broken)
        _tune(lines, target, name, row, "repair", seeds)
    return lines.rows, lines.images


def repurpose(bench: StudyBench, seeds: Sequence[int]) -> Result:
    """A generator that was trained on eight classes is asked for the two others."""
    lines, target = _Lines(bench), bench.eight()
    atoms = target.atoms("class_embedding")
    assert atoms is not None
    for name in HELD_OUT:
        lines.real(name)
        nearest = [bench.row(target, row, name, "nearest", None)[0]["frechet"] for row in atoms.values]
        lines.add(target, atoms.values[nearest.index(min(nearest))], name, "nearest class")
        _tune(lines, target, name, None, "repurpose", seeds, (*METHODS, "recognised", ALONE))
    return lines.rows, lines.images


def diversify(bench: StudyBench, seeds: Sequence[int]) -> Result:
    """A class lost part of its variety, and is searched for from where it is."""
    lines = _Lines(bench)
    for name in BROKEN:
        row = LABELS.index(name)
        lines.real(name)
        lines.add(bench.gan, _table(bench)[row], name, "original")
        cut = collapse(bench.gan, bench.guide, row, row, 20, bench.out / "runs" / "cut")
        lines.add(bench.gan, cut, name, "cut")
        _tune(lines, with_embedding(bench.gan, row, cut), name, row, "diversify", seeds, METHODS[::2])
    return lines.rows, lines.images


def _tune(
    lines: _Lines,
    target: Expert,
    name: str,
    own: int | None,
    task: str,
    seeds: Sequence[int],
    presets: Sequence[str] = METHODS,
) -> None:
    for seed in seeds:
        for preset in presets:
            steps = _LONGER if preset in ("recognised", ALONE) else BUDGET.steps
            tuned = lines.bench.tune(target, name, own, _objective(task, preset), seed, steps)
            lines.add(target, tuned, name, preset, seed)


def _table(bench: StudyBench) -> Tensor:
    atoms = bench.gan.atoms("class_embedding")
    assert atoms is not None
    return atoms.values


TASKS: dict[str, Callable[[StudyBench, Sequence[int]], Result]] = {
    "repair": repair,
    "repurpose": repurpose,
    "diversify": diversify,
}
