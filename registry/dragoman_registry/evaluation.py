"""Measuring any model of the zoo against a folder of real images, in the features of any expert."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError
from dragoman.knobs import read_knobs
from dragoman.metrics import diversity, features, frechet_distance, kernel_distance, prdc
from dragoman.training.seeding import generator_for
from dragoman_registry.atomic import replace_file
from dragoman_registry.card import CARD, render_card
from dragoman_registry.format import is_package
from dragoman_registry.image_folder import read_images
from dragoman_registry.manifest import MANIFEST, read_manifest
from dragoman_registry.results import Result, with_results
from dragoman_registry.subject import Subject, load_subject

__all__ = ["METRICS", "Comparison", "Evaluation", "check_metrics", "evaluate", "write_results"]

#: What may be measured, by the name on the command line.
METRICS = ("fid", "kid", "prdc", "diversity")
_SUBSETS, _SUBSET_SIZE, _NEIGHBOURS = 100, 1000, 5
#: Samples among which all pairwise distances are taken.
_PAIRED = 2000


@dataclass(frozen=True)
class Evaluation:
    """Figures, and how they were measured.

    Attributes:
        figures: by metric: ``frechet_distance``, ``kernel_distance``, ``kernel_distance_std`` where one subset does not
            have all samples, ``precision``, ``recall``, ``density``, ``coverage``, ``diversity`` (mean pairwise
            distance) and ``diversity_ratio`` (over that of real images).
        features: the network in whose features, ``NAME:PORT``.
        dataset: name of the folder of real images.
        samples: generated images, and as many real ones.
        seed: of the samples.
    """

    figures: dict[str, float]
    features: str
    dataset: str
    samples: int
    seed: int


def evaluate(
    model: str,
    real: Path,
    *,
    features_of: str,
    metrics: Sequence[str] = METRICS,
    samples: int | None = None,
    prompts: Sequence[str] = (),
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    knobs: Mapping[str, str] | None = None,
) -> Evaluation:
    """Draw from a model and compare with real images.

    Args:
        model: a generator, ``NAME[=ADDRESS][:PORT]``, or the address of a fusion.
        real: folder of images; they are scaled to the size and channels of the generated ones.
        features_of: the expert that compares, ``NAME[=ADDRESS][:PORT]``.
        metrics: of :data:`METRICS`.
        samples: how many images of either kind; as many as there are real ones when omitted.
        prompts: for a fusion; those in its package when empty.
        seed: of the samples.
        batch_size: images that are made at once.
        device: where it runs.
        knobs: the model's knobs, as they are written on a command line, in place of its defaults.

    Raises:
        InputError: a metric is unknown, there are too few real images, or a fusion has no prompts.
    """
    check_metrics(metrics)
    subject = load_subject(model, prompts, device)
    chosen = read_knobs(knobs or {}, subject.knobs(), model)
    judging = Comparison(subject, real, features_of=features_of, samples=samples, seed=seed, device=device)
    return judging.of(subject.draw(judging.count, seed, batch_size, chosen).images, metrics)


class Comparison:
    """Real images in the features of one expert, to which generated ones are compared.

    Args:
        subject: what gives the generated ones; one image tells their size.
        real: folder of images.
        features_of: the expert that compares.
        samples: how many images of either kind; as many as there are real ones when omitted.
        seed: of the estimates that are drawn.
        device: where the expert runs.

    Attributes:
        count: images of either kind.

    Raises:
        InputError: there are too few real images.
    """

    def __init__(
        self,
        subject: Subject,
        real: Path,
        *,
        features_of: str,
        samples: int | None,
        seed: int,
        device: str | torch.device | None,
    ) -> None:
        self.judge = Endpoint.load(EndpointSpec.parse(features_of), giving=True, device=device)
        probe = subject.draw(1, seed, 1, {}).images
        data = read_images(real, size=probe.shape[-1], channels=probe.shape[1], limit=samples).images
        self.count = len(data) if samples is None else samples
        if len(data) < max(self.count, 2):
            least = max(self.count, 2)
            raise InputError(f"{real} holds {len(data)} images; {least} are needed, as many as are generated.")
        self.real, self.seed, self.dataset = _features(self.judge, data), seed, real.resolve().name

    def of(self, images: Tensor, metrics: Sequence[str]) -> Evaluation:
        """Figures of images, float ``[N, C, H, W]`` in [0, 1], as many as :attr:`count`."""
        # Bytes, as real images are stored.
        seen = _features(self.judge, (images.clamp(0, 1) * 255).round().byte())
        label = f"{self.judge.name}:{self.judge.port.name}"
        return Evaluation(_figures(self.real, seen, metrics, self.seed), label, self.dataset, self.count, self.seed)


def check_metrics(names: Sequence[str]) -> None:
    """Raise unless all metrics exist.

    Raises:
        InputError: one does not; the sentence lists those that do.
    """
    if unknown := set(names) - set(METRICS):
        raise InputError(f"There is no metric {min(unknown)!r}; there are {', '.join(METRICS)}.")


def write_results(folder: Path, evaluation: Evaluation) -> None:
    """Put results into the card of a model in a folder: a package's manifest and card, or an expert's ``README.md``.

    Raises:
        PackageError: the manifest is damaged, or the card has results in a form that is not ours.
    """
    settings = {"samples": evaluation.samples, "seed": evaluation.seed}
    card = folder / CARD
    old = card.read_text(encoding="utf-8") if card.is_file() else ""
    if not is_package(folder):
        results = [
            Result(name, value, evaluation.dataset, evaluation.features) for name, value in evaluation.figures.items()
        ]
        replace_file(card, with_results(old, folder.resolve().name, results, settings).encode())
        return
    manifest = read_manifest(folder)
    name = f"{evaluation.dataset} ({evaluation.features})"
    figures: dict[str, Any] = dict(manifest.facts.get("figures", {}))
    figures[name] = {**figures.get(name, {}), **evaluation.figures, **settings, "features": evaluation.features}
    manifest = replace(manifest, facts={**manifest.facts, "figures": figures})
    replace_file(card, render_card(manifest, folder.resolve().name, old).encode())
    replace_file(folder / MANIFEST, manifest.to_bytes())


def _features(judge: Endpoint, images: Tensor) -> Tensor:
    parts = [features(judge.expert, part.float() / 255, judge.port.name) for part in images.split(1024)]
    return torch.cat(parts).cpu()


def _figures(real: Tensor, fake: Tensor, metrics: Sequence[str], seed: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    if "fid" in metrics:
        figures["frechet_distance"] = frechet_distance(real, fake)
    if "kid" in metrics:
        size = min(_SUBSET_SIZE, len(real), len(fake))
        found = kernel_distance(real, fake, generator=generator_for(seed, "kid"), subsets=_SUBSETS, subset_size=size)
        figures["kernel_distance"] = found.mean
        if not math.isnan(found.std):
            figures["kernel_distance_std"] = found.std
    if "prdc" in metrics:
        figures |= prdc(real, fake, min(_NEIGHBOURS, len(real) - 1))._asdict()
    if "diversity" in metrics:
        own, theirs = (float(diversity(each[:_PAIRED].unsqueeze(0))) for each in (fake, real))
        figures |= {"diversity": own, "diversity_ratio": own / theirs if theirs else 0.0}
    return figures
