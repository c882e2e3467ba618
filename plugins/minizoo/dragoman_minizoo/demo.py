"""Train a fusion in front of the user, and judge it beside the shipped one and three baselines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import dragoman
from dragoman.endpoint import load_expert
from dragoman.fuse import fuse
from dragoman.fusion import Fusion
from dragoman.images import grid, save_png
from dragoman.metrics import novelty
from dragoman.pairs import GeneratedPairs, PairStore, build_store
from dragoman.progress import progress
from dragoman.recipe import Recipe
from dragoman.training.paired import Paired
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman.translator import Translator
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.baselines import Regression, Retrieval
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.classifier import Classifier
from dragoman_minizoo.judging import Jury, reference_images
from dragoman_minizoo.oracle import Oracle
from dragoman_minizoo.prompts import TIERS, Prompts, check_unseen, make_prompts
from dragoman_minizoo.publication import publish_and_pull

__all__ = ["evaluate", "held_out_prompts", "make_jury", "run"]

SHIPPED = "minizoo/text2fashion"
IMAGES_PER_PROMPT = 2
CANDIDATES = 4
PICTURED = (
    "a dark, wide handbag",
    "a bright, narrow dress",
    "a plain white t-shirt",
    "a pair of black trainers",
    "a patterned pullover",
    "a pair of slim grey jeans",
    "a light, strappy sandal",
    "my friend is wearing a black leather ankle boot",
)


def run(out: Path, *, count: int, seed: int, minutes: float | None = None, pairs: int | None = None) -> None:
    """Do everything that ``dragoman demo`` does.

    Args:
        out: folder of the run.
        count: held-out captions per tier.
        seed: seed of the quick fusion.
        minutes: time to train it, instead of the recipe's.
        pairs: how many pairs to make, instead of the recipe's number.
    """
    recipe = Recipe.from_toml(Path(__file__).with_name("recipes") / "quick.toml")
    recipe = replace(
        recipe,
        training={**recipe.training, "minutes": minutes or recipe.training["minutes"], "seed": seed},
        pairs={**recipe.pairs, "count": pairs or recipe.pairs["count"]},
    )
    quick = fuse(recipe, out, device="cpu")
    quick.save_pretrained(out / "model")
    shipped = dragoman.load(SHIPPED)
    store = _store(quick, out)
    prompts = held_out_prompts(count)
    overlap = sum(check_unseen(one, store.captions) for one in prompts.values())
    report = {
        "prompts_per_tier": count,
        "images_per_prompt": IMAGES_PER_PROMPT,
        "verbatim_overlap": overlap,
        "chance": {"class_accuracy": 0.1, "attribute_accuracy": 0.333},
        "fusions": _fusions({"quick": quick, "shipped": shipped}, prompts, store),
        "baselines": _baselines(quick, store, prompts, out),
        "limit": {"the generator itself, until it fits": _limit(quick, prompts)},
    }
    _summary(report)
    click.echo("publishing on an embedded Hub, and pulling from there in a new process", err=True)
    publication = publish_and_pull(out / "model")
    click.echo(_publication(publication), err=True)
    report["publication"] = publication
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _picture(shipped, out / "grid.png")
    for name in ("grid.png", "report.json", "model"):
        click.echo(out / name)


def make_jury() -> Jury:
    """The judge with the captioner's levels."""
    judge, captioner = load_expert("judge-fashion"), load_expert("captioner-fashion")
    assert isinstance(judge, Classifier)
    assert isinstance(captioner, Captioner)
    return Jury(judge, captioner.boundaries)


def held_out_prompts(count: int) -> dict[str, Prompts]:
    """Prompts of every tier, about real test images."""
    captioner = load_expert("captioner-fashion")
    assert isinstance(captioner, Captioner)
    real = reference_images()
    seen = levels(measure(real.images.float() / 255), real.labels, captioner.boundaries)
    return {tier: make_prompts(tier, real.labels, seen, count) for tier in TIERS}


def evaluate(render: Callable[[Prompts], Tensor], prompts: Mapping[str, Prompts], what: str) -> dict[str, Any]:
    """Figures by tier.

    Args:
        render: prompts to images, :data:`IMAGES_PER_PROMPT` for each, side by side.
        prompts: the prompts of each tier.
        what: for the progress line.
    """
    jury = make_jury()
    figures: dict[str, dict[str, float]] = {}
    seconds, images_made = 0.0, 0
    with progress(f"judging {what}", len(prompts)) as shown:
        for done, (tier, asked) in enumerate(prompts.items(), start=1):
            started = time.monotonic()
            images = render(asked)
            seconds, images_made = seconds + time.monotonic() - started, images_made + len(images)
            for name, value in jury.judge_images(images, asked)._asdict().items():
                figures.setdefault(name, {})[tier] = round(value, 4)
            shown.update(done)
    return {**figures, "images_per_second": round(images_made / seconds, 1)}


def _fusions(fusions: Mapping[str, Fusion], prompts: Mapping[str, Prompts], store: PairStore) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, fusion in fusions.items():
        training = fusion.facts.get("training", {})
        facts = {
            "train_seconds": training.get("seconds"),
            "translator_params": sum(p.numel() for p in fusion.translator.parameters()),
        }
        found[name] = evaluate(_renderer(fusion), prompts, name) | facts
        found[name]["novelty"] = _novelty(fusion, fusion.translator, prompts, store)
        found[f"{name}, best of {CANDIDATES}"] = (
            evaluate(_renderer(fusion, candidates=CANDIDATES), prompts, f"{name}, best of {CANDIDATES}") | facts
        )
    return found


def _renderer(fusion: Fusion, candidates: int = 1) -> Callable[[Prompts], Tensor]:
    def render(prompts: Prompts) -> Tensor:
        generator = generator_for(0, "evaluation")
        how: dict[str, Any] = {"generator": generator, "candidates": candidates, "batch_size": 512}
        return fusion.sample(prompts.captions, IMAGES_PER_PROMPT, **how)

    return render


def _baselines(quick: Fusion, store: PairStore, prompts: Mapping[str, Prompts], out: Path) -> dict[str, Any]:
    regression, seconds = _train_regression(quick, store, out)
    ways: dict[str, tuple[Translator, float]] = {
        "regression": (regression, seconds),
        "nearest caption": (Retrieval(store, 1), 0.0),
        "random of the 16 nearest captions": (Retrieval(store, 16), 0.0),
    }
    found: dict[str, Any] = {}
    for name, (translator, spent) in ways.items():
        fusion = Fusion(quick.source, translator, quick.target)
        found[name] = evaluate(_renderer(fusion), prompts, name)
        found[name] |= {
            "train_seconds": round(spent, 1),
            "translator_params": sum(p.numel() for p in translator.parameters()),
            "novelty": _novelty(fusion, translator, prompts, store),
        }
    return found


def _limit(quick: Fusion, prompts: Mapping[str, Prompts]) -> dict[str, Any]:
    """What rejection sampling reaches when it is told what the prompts mean."""
    made = quick.facts["recipe"]["pairs"]
    captioner = load_expert(made["captioner"])
    assert isinstance(captioner, Captioner)
    oracle = Oracle(quick.decoder, captioner, quick.target.port.name, made["spread"], generator_for(0, "oracle"))

    def render(asked: Prompts) -> Tensor:
        return oracle.show(asked, IMAGES_PER_PROMPT, generator_for(1, "oracle"))

    return evaluate(render, prompts, "the generator's limit")


def _train_regression(quick: Fusion, store: PairStore, out: Path) -> tuple[Translator, float]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        translator = Regression.build(quick.source.port, quick.target.port)
    atoms = quick.target.expert.atoms(quick.target.port.name)
    translator.initialize(store.target, store.conditions, atoms)
    settings = Settings(steps=800, batch_size=512, seed=0, checkpoint_every=10_000)
    result = Trainer(Paired(translator), store, settings, out / "regression", device="cpu").run()
    return translator.eval(), result.seconds


@torch.no_grad()
def _novelty(fusion: Fusion, translator: Translator, prompts: Mapping[str, Prompts], store: PairStore) -> float:
    """Mean distance of z to the nearest z in the store, over that between two draws of the prior; 0 is a copy."""
    captions = prompts["templates"].captions[:250]
    condition = fusion.encoder.encode(captions, fusion.source.port.name)
    made = translator.sample(condition, generator=generator_for(0, "novelty"))
    start = _start_of_atoms(fusion)
    known = store.target[:, :start]
    # The prior as the pairs were drawn from it: as widely.
    fresh = known.std() * torch.randn(250, start, generator=generator_for(1, "novelty"))
    return round(float(novelty(made[:, :start], known).mean() / novelty(fresh, known).mean()), 4)


def _start_of_atoms(fusion: Fusion) -> int:
    atoms = fusion.decoder.atoms(fusion.target.port.name)
    assert atoms is not None
    return atoms.start


def _store(quick: Fusion, out: Path) -> PairStore:
    """The pairs that the quick fusion was trained on; they are already on disk."""
    made = quick.facts["recipe"]["pairs"]
    pairs = GeneratedPairs(quick.source, quick.target, load_expert(made["captioner"]), made["spread"])
    return build_store(out / "pairs", pairs, made["count"], made["seed"])


def _picture(fusion: Fusion, path: Path) -> None:
    images = fusion.sample(list(PICTURED), 12, generator=generator_for(0, "picture"), candidates=CANDIDATES)
    save_png(grid(images, 12, scale=2, captions=list(PICTURED)), path)


def _publication(found: Mapping[str, Any]) -> str:
    equal = "the same pictures, bit for bit" if found["same_pictures"] else "OTHER PICTURES than the published one"
    return f"{found['repository']} was pulled into an empty cache, checked, and makes {equal}"


def _summary(report: Mapping[str, Any]) -> None:
    click.echo(f"{'':38}  class / attribute accuracy, diversity ratio on held-out ...", err=True)
    click.echo(f"{'':38}  {'templates':>18}  {'synonyms':>18}  {'unseen words':>18}", err=True)
    for name, figures in {**report["fusions"], **report["baselines"], **report["limit"]}.items():
        columns = [
            f"{figures['class_accuracy'][tier]:.2f} / {figures['attribute_accuracy'][tier]:.2f}, "
            f"{figures['diversity_ratio'][tier]:.2f}"
            for tier in TIERS
        ]
        click.echo(f"{name:38}  " + "  ".join(f"{column:>18}" for column in columns), err=True)
