"""Train a fusion in front of the user, and judge it beside the shipped one and three baselines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import click
import torch
from torch import Tensor

import dragoman
from dragoman.endpoint import load_expert
from dragoman.expert import Expert
from dragoman.fuse import fuse
from dragoman.fusion import Fusion
from dragoman.images import grid, save_png
from dragoman.metrics import novelty
from dragoman.pairs import GeneratedPairs, PairStore, build_store
from dragoman.pairs.split import TrainingPart
from dragoman.progress import progress
from dragoman.recipe import Recipe
from dragoman.representation import Representation, Tokens, length, select
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

__all__ = ["Asked", "evaluate", "held_out_prompts", "make_jury", "run"]

SHIPPED = "minizoo/text2fashion"
IMAGES_PER_PROMPT = 2
CANDIDATES = 4
#: Port whose embeddings the retrieval baselines compare, and how many stored pairs they look among.
RETRIEVAL_PORT, RETRIEVED = "pooled", 8192
REGRESSION_STEPS = 500
NOVELTY_DRAWS = 250
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


@dataclass
class Asked:
    """Held-out prompts of every tier, encoded once at each port that somebody asks for.

    Args:
        prompts: the prompts by tier.
        encoder: the text expert.
    """

    prompts: Mapping[str, Prompts]
    encoder: Expert

    def __post_init__(self) -> None:
        self._encoded: dict[tuple[str, str], Tensor | Tokens] = {}

    def at(self, tier: str, port: str) -> Tensor | Tokens:
        """The prompts of a tier as the encoder gives them at a port."""
        if (tier, port) not in self._encoded:
            encoded = self.encoder.encode(self.prompts[tier].captions, port)
            assert isinstance(encoded, Tensor | Tokens)
            self._encoded[tier, port] = encoded
        return self._encoded[tier, port]


#: The tier of a question to its images, :data:`IMAGES_PER_PROMPT` for each prompt, side by side.
Render: TypeAlias = Callable[[str], Tensor]


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
    asked = Asked(held_out_prompts(count), quick.encoder)
    overlap = sum(check_unseen(one, store.captions) for one in asked.prompts.values())
    jury = make_jury()
    report = {
        "prompts_per_tier": count,
        "images_per_prompt": IMAGES_PER_PROMPT,
        "verbatim_overlap": overlap,
        "chance": {"class_accuracy": 0.1, "attribute_accuracy": 0.333},
        "fusions": _fusions({"quick": quick, "shipped": shipped}, asked, jury, store),
        "baselines": _baselines(quick, asked, jury, store, out),
        "limit": {"the generator itself, until it fits": _limit(quick, asked, jury)},
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


def held_out_prompts(count: int, seed: int = 0) -> dict[str, Prompts]:
    """Prompts of every tier, about real test images; figures are reported on those of seed 0."""
    captioner = load_expert("captioner-fashion")
    assert isinstance(captioner, Captioner)
    real = reference_images()
    seen = levels(measure(real.images.float() / 255), real.labels, captioner.boundaries)
    return {tier: make_prompts(tier, real.labels, seen, count, seed) for tier in TIERS}


def evaluate(render: Render, prompts: Mapping[str, Prompts], jury: Jury, what: str) -> dict[str, Any]:
    """Figures by tier.

    Args:
        render: the name of a tier to images, :data:`IMAGES_PER_PROMPT` for each of its prompts, side by side.
        prompts: the prompts of each tier.
        jury: judges the images.
        what: for the progress line.
    """
    figures: dict[str, dict[str, float]] = {}
    seconds, images_made = 0.0, 0
    with progress(f"judging {what}", len(prompts)) as shown:
        for done, (tier, asked) in enumerate(prompts.items(), start=1):
            started = time.monotonic()
            images = render(tier)
            seconds, images_made = seconds + time.monotonic() - started, images_made + len(images)
            for name, value in jury.judge_images(images, asked)._asdict().items():
                figures.setdefault(name, {})[tier] = round(value, 4)
            shown.update(done)
    return {**figures, "images_per_second": round(images_made / seconds, 1)}


def _fusions(fusions: Mapping[str, Fusion], asked: Asked, jury: Jury, store: PairStore) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, fusion in fusions.items():
        training = fusion.facts.get("training", {})
        facts = {
            "train_seconds": training.get("seconds"),
            "translator_params": sum(p.numel() for p in fusion.translator.parameters()),
        }
        port = fusion.source.port.name
        ways: dict[str, dict[str, Any]] = {name: {}, f"{name}, best of {CANDIDATES}": {"candidates": CANDIDATES}}
        if any(knob.name == "proposals" for knob in fusion.knobs()):
            ways[f"{name}, the flow alone"] = {"proposals": 1}
        for way, how in ways.items():
            found[way] = evaluate(_renderer(fusion, asked, port, **how), asked.prompts, jury, way) | facts
        found[name]["novelty"] = _novelty(fusion, asked.at("templates", port), store)
    return found


def _renderer(fusion: Fusion, asked: Asked, port: str, **how: Any) -> Render:
    def render(tier: str) -> Tensor:
        generator = generator_for(0, "evaluation")
        return fusion.sample(asked.at(tier, port), IMAGES_PER_PROMPT, generator=generator, batch_size=512, **how)

    return render


def _baselines(quick: Fusion, asked: Asked, jury: Jury, store: PairStore, out: Path) -> dict[str, Any]:
    regression, seconds = _train_regression(quick, store, out)
    keys, target = _retrieved(quick.encoder, store)
    ways: dict[str, tuple[Translator, str, float]] = {
        "regression": (regression, quick.source.port.name, seconds),
        "nearest caption": (Retrieval(keys, target, 1), RETRIEVAL_PORT, 0.0),
        "random of the 16 nearest captions": (Retrieval(keys, target, 16), RETRIEVAL_PORT, 0.0),
    }
    found: dict[str, Any] = {}
    for name, (translator, port, spent) in ways.items():
        fusion = Fusion(quick.source, translator, quick.target)
        found[name] = evaluate(_renderer(fusion, asked, port), asked.prompts, jury, name)
        found[name] |= {
            "train_seconds": round(spent, 1),
            "translator_params": sum(p.numel() for p in translator.parameters()),
            "novelty": _novelty(fusion, asked.at("templates", port), store),
        }
    return found


def _retrieved(encoder: Expert, store: PairStore) -> tuple[Tensor, Tensor]:
    """Sentence embeddings of the first captions, and the latents that go with them."""
    rows, which = store.rows[:RETRIEVED].unique(return_inverse=True)
    encoded = encoder.encode([store.captions[row] for row in rows.tolist()], RETRIEVAL_PORT)
    assert isinstance(encoded, Tensor)
    return encoded[which], store.target[:RETRIEVED]


def _limit(quick: Fusion, asked: Asked, jury: Jury) -> dict[str, Any]:
    """What rejection sampling reaches when it is told what the prompts mean."""
    made = quick.facts["recipe"]["pairs"]
    captioner = load_expert(made["captioner"])
    assert isinstance(captioner, Captioner)
    oracle = Oracle(quick.decoder, captioner, quick.target.port.name, made["spread"], generator_for(0, "oracle"))

    def render(tier: str) -> Tensor:
        return oracle.show(asked.prompts[tier], IMAGES_PER_PROMPT, generator_for(1, "oracle"))

    return evaluate(render, asked.prompts, jury, "the generator's limit")


def _train_regression(quick: Fusion, store: PairStore, out: Path) -> tuple[Translator, float]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        translator = Regression.build(quick.source.port, quick.target.port)
    atoms = quick.target.expert.atoms(quick.target.port.name)
    pairs = TrainingPart(store, 0)
    first = pairs.batch(min(4096, len(pairs)), generator_for(0, "initialize"))
    assert isinstance(first["target"], Tensor)
    translator.initialize(first["target"], first["condition"], atoms)
    settings = Settings(steps=REGRESSION_STEPS, batch_size=256, seed=0, ema_decay=0.99, checkpoint_every=10_000)
    method = Paired(translator, learning_rate=2e-3, condition_noise=quick.facts["recipe"]["method"]["condition_noise"])
    result = Trainer(method, pairs, settings, out / "regression", device="cpu").run()
    return translator.eval(), result.seconds


@torch.no_grad()
def _novelty(fusion: Fusion, condition: Representation, store: PairStore) -> float:
    """Mean distance of z to the nearest z in the store, over that between two draws of the prior; 0 is a copy."""
    asked = select(condition, range(min(NOVELTY_DRAWS, length(condition))))
    made = fusion.translator.sample(asked, generator=generator_for(0, "novelty"))
    start = _start_of_atoms(fusion)
    known = store.target[:, :start]
    # The prior as the pairs were drawn from it: as widely.
    fresh = known.std() * torch.randn(NOVELTY_DRAWS, start, generator=generator_for(1, "novelty"))
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
