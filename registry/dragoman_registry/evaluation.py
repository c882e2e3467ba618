"""Measuring any model of the zoo against a folder of real images, in the features of any expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.errors import InputError
from dragoman.fusion import Fusion, load
from dragoman.metrics import diversity, features, frechet_distance, kernel_distance, prdc
from dragoman.plugins import zoo
from dragoman.progress import progress
from dragoman.training.seeding import generator_for
from dragoman_registry.atomic import replace_file
from dragoman_registry.card import CARD, render_card
from dragoman_registry.format import is_package
from dragoman_registry.image_folder import read_images
from dragoman_registry.manifest import MANIFEST, read_manifest
from dragoman_registry.results import Result, with_results

__all__ = ["METRICS", "Evaluation", "evaluate", "write_results"]

#: What may be measured, by the name on the command line.
METRICS = ("fid", "kid", "prdc", "diversity")
_SUBSETS, _SUBSET_SIZE, _NEIGHBOURS = 100, 1000, 5
#: Samples among which all pairwise distances are taken.
_PAIRED = 2000


@dataclass(frozen=True)
class Evaluation:
    """Figures, and how they were measured.

    Attributes:
        figures: by metric: ``frechet_distance``, ``kernel_distance``, ``precision``, ``recall``, ``density``,
            ``coverage``, ``diversity`` (mean pairwise distance) and ``diversity_ratio`` (over that of real images).
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

    Raises:
        InputError: a metric is unknown, there are too few real images, or a fusion has no prompts.
    """
    if unknown := set(metrics) - set(METRICS):
        raise InputError(f"There is no metric {min(unknown)!r}; there are {', '.join(METRICS)}.")
    judge = Endpoint.load(EndpointSpec.parse(features_of), giving=True, device=device)
    probe = _draw(model, 1, prompts, seed, batch_size, device)
    data = read_images(real, size=probe.shape[-1], channels=probe.shape[1], limit=samples).images
    count = len(data) if samples is None else samples
    if len(data) < max(count, 2):
        raise InputError(f"{real} holds {len(data)} images; {max(count, 2)} are needed, as many as are generated.")
    made = _draw(model, count, prompts, seed, batch_size, device)
    # Bytes, as real images are stored.
    made = (made.clamp(0, 1) * 255).round().byte()
    seen = [_features(judge, images) for images in (data, made)]
    label = f"{judge.name}:{judge.port.name}"
    return Evaluation(_figures(seen[0], seen[1], metrics, seed), label, real.resolve().name, count, seed)


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


@torch.no_grad()
def _draw(
    model: str, count: int, prompts: Sequence[str], seed: int, batch_size: int, device: str | torch.device | None
) -> Tensor:
    spec = EndpointSpec.parse(model) if not Path(model).is_dir() else None
    if spec is not None and spec.expert in zoo().experts:
        return _of_expert(spec, count, seed, batch_size, device)
    fusion = load(model, device=device)
    texts = list(prompts) or _prompts_of(fusion, model)
    each = -(-count // len(texts))
    # All prompts alike often, and the rest from the front.
    made = fusion.sample(texts, each, generator=generator_for(seed, "draw"), batch_size=batch_size)
    rows = torch.arange(len(made)).view(len(texts), each).T.flatten()[:count]
    return made[rows.to(made.device)].cpu()


def _of_expert(spec: EndpointSpec, count: int, seed: int, batch_size: int, device: str | torch.device | None) -> Tensor:
    expert = load_expert(spec.expert, spec.address, device=device)
    ports = [port.name for port in expert.ports.values() if port.takes]
    if not ports or (spec.port and spec.port not in ports):
        raise InputError(f"{spec} is no generator; it renders {', '.join(ports) or 'nothing'}.")
    port, generator, parts = spec.port or ports[0], generator_for(seed, "draw"), []
    with progress("generating", count) as shown:
        for start in range(0, count, batch_size):
            latents = expert.draw(port, min(batch_size, count - start), generator=generator)
            knobs = {"generator": generator} if expert.port(port).modality == "label" else {}
            parts.append(expert.decode(latents, port, **knobs).cpu())
            shown.update(start + len(latents))
    return torch.cat(parts)


def _prompts_of(fusion: Fusion, model: str) -> list[str]:
    prompts = fusion.facts.get("prompts")
    if not isinstance(prompts, list | tuple) or not prompts:
        raise InputError(f"{model} names no prompts of its own; give a file with --prompts, one text a line.")
    return [str(prompt) for prompt in prompts]


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
        figures |= {"kernel_distance": found.mean, "kernel_distance_std": found.std}
    if "prdc" in metrics:
        figures |= prdc(real, fake, min(_NEIGHBOURS, len(real) - 1))._asdict()
    if "diversity" in metrics:
        own, theirs = (float(diversity(each[:_PAIRED].unsqueeze(0))) for each in (fake, real))
        figures |= {"diversity": own, "diversity_ratio": own / theirs if theirs else 0.0}
    return figures
