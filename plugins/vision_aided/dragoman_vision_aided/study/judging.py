"""Distances of the study's generators to test images, in features of unrelated kinds, and their table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dragoman.images import grid
from dragoman.metrics import frechet_distance
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_vision_aided.evaluation import Evaluator
from dragoman_vision_aided.ranking import draw_images

__all__ = ["TestImages", "tabulate"]

_COMPONENTS = 64
_PICTURES = 64


class TestImages:
    """Test images, judges, and principal components of pixels.

    Args:
        compared: uint8 ``[N, 1, 32, 32]``, compared with as many samples.
        others: ``[M, 1, 32, 32]``, fix the principal components.
        judges: ``NAME[=ADDRESS]:PORT`` of experts, by what they are called in tables.
    """

    __test__ = False  # no test of pytest

    def __init__(self, compared: Tensor, others: Tensor, judges: Mapping[str, str]) -> None:
        self.evaluators = {name: Evaluator(spec, compared, len(compared), 1, []) for name, spec in judges.items()}
        rows = _flat(others)
        self.centre = rows.mean(dim=0)
        _, _, directions = torch.linalg.svd(rows - self.centre, full_matrices=False)
        self.directions, self.real = directions[:_COMPONENTS].T, _flat(compared)

    def distances(self, expert: StyleGAN2) -> dict[str, float]:
        """Fréchet distances in the judges' features and in the first principal components of pixels."""
        fake = _flat(draw_images(expert, len(self.real), 1))
        pixels = [(rows - self.centre) @ self.directions for rows in (self.real, fake)]
        seen = {name: evaluator.distance(expert) for name, evaluator in self.evaluators.items()}
        return {**seen, "pixels": frechet_distance(*pixels)}

    def pictures(self, expert: StyleGAN2) -> Image.Image:
        """Samples side by side."""
        return grid(draw_images(expert, _PICTURES, 2).float() / 255, 16, scale=2)


def tabulate(runs: Sequence[Mapping[str, Any]]) -> str:
    """Tables in Markdown: distances by variant, how many times lower than without critics, and what the probe said."""
    return "\n".join([*_distances(runs), "", *_ratios(runs), "", *_probes(runs)]) + "\n"


def _distances(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    measures = list(runs[0]["distances"])
    yield f"| variant | seeds | {' | '.join(measures)} | overfitting | best at image | seconds |"
    yield "|---" * (5 + len(measures)) + "|"
    for variant in dict.fromkeys(run["variant"] for run in runs):
        own = [run for run in runs if run["variant"] == variant]
        cells = [_spread([run["distances"][name] for run in own]) for name in measures]
        at, seconds = mean(run["best_at"] for run in own), mean(run["seconds"] for run in own)
        cells.append(f"{mean(run['overfitting'] for run in own):.2f}")
        yield f"| {variant} | {len(own)} | {' | '.join(cells)} | {at:,.0f} | {seconds:.0f} |"


def _ratios(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Distance without critics over that with them, same seed and same augmentation."""
    measures = list(runs[0]["distances"])
    found = {(run["variant"], run["seed"]): run["distances"] for run in runs}
    yield f"| variant | against | {' | '.join(f'{name}, times lower (by seed)' for name in measures)} |"
    yield "|---" * (2 + len(measures)) + "|"
    for variant in dict.fromkeys(run["variant"] for run in runs):
        base = "plain" + variant[len(variant.partition("+")[0]) :]
        pairs = [(found[base, s], own) for (v, s), own in found.items() if v == variant and (base, s) in found]
        if variant == base or not pairs:
            continue
        ratios = [[plain[name] / own[name] for plain, own in pairs] for name in measures]
        cells = [f"{mean(each):.2f} ({', '.join(f'{ratio:.2f}' for ratio in each)})" for each in ratios]
        yield f"| {variant} | {base} | {' | '.join(cells)} |"


def _probes(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The probe's accuracy at the best snapshot of each stage, critics of that stage in bold."""
    names = sorted({each["name"] for run in runs for probed in run["probes"] for each in probed})
    yield f"| variant | seed | critics | {' | '.join(names)} |"
    yield "|---" * (3 + len(names)) + "|"
    for run in runs:
        for probed, critics in zip(run["probes"], run["critics"], strict=True):
            accuracy = {each["name"]: f"{each['mean']:.3f}" for each in probed}
            cells = [f"**{accuracy[name]}**" if name in critics else accuracy.get(name, "") for name in names]
            yield f"| {run['variant']} | {run['seed']} | {len(critics)} | {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).double() / 255
