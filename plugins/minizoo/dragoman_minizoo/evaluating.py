"""Judging fusions of texts and garments on the demo's held-out captions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.expert import Expert
from dragoman.fusion import Fusion
from dragoman.metrics import novelty
from dragoman.pairs import GeneratedPairs, PairStore, build_store
from dragoman.progress import progress
from dragoman.recipe import Recipe
from dragoman.representation import Tokens, length, select
from dragoman.training.seeding import generator_for
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.classifier import Classifier
from dragoman_minizoo.judging import Jury, reference_images
from dragoman_minizoo.prompts import TIERS, Prompts, make_prompts

__all__ = ["IMAGES_PER_PROMPT", "Asked", "Ground", "evaluate", "held_out_prompts", "make_jury"]

IMAGES_PER_PROMPT = 2
NOVELTY_DRAWS = 250


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


@dataclass(frozen=True)
class Ground:
    """What every way to answer a prompt is judged on.

    Attributes:
        source: reads the prompts.
        target: renders the answers.
        store: the pairs that the quick fusion is trained on.
        asked: the prompts.
        jury: the judge.
    """

    source: Endpoint
    target: Endpoint
    store: PairStore
    asked: Asked
    jury: Jury

    @classmethod
    def open(cls, recipe: Recipe, out: Path, count: int) -> Ground:
        """That of a recipe; makes its pairs in ``out`` where they are not there yet.

        Args:
            recipe: of the quick fusion.
            out: folder of the run.
            count: held-out captions per tier.
        """
        source = Endpoint.load(EndpointSpec.parse(recipe.source), giving=True, device="cpu")
        target = Endpoint.load(EndpointSpec.parse(recipe.target), giving=False, device="cpu")
        made = recipe.pairs
        pairs = GeneratedPairs(source, target, load_expert(made["captioner"]), made["spread"])
        store = build_store(out / "pairs", pairs, made["count"], made["seed"])
        return cls(source, target, store, Asked(held_out_prompts(count), source.expert), make_jury())

    def judge(self, fusion: Fusion, what: str, port: str = "", **how: Any) -> dict[str, Any]:
        """Figures of a fusion by tier.

        Args:
            fusion: the fusion.
            what: for the progress line.
            port: where its prompts are encoded; its source's port when empty.
            **how: options of :meth:`dragoman.Fusion.sample`.
        """
        port = port or fusion.source.port.name

        def render(tier: str) -> Tensor:
            generator, asked = generator_for(0, "evaluation"), self.asked.at(tier, port)
            return fusion.sample(asked, IMAGES_PER_PROMPT, generator=generator, batch_size=256, **how)

        return evaluate(render, self.asked.prompts, self.jury, what)

    def judge_all_ways(self, name: str, fusion: Fusion) -> dict[str, Any]:
        """Figures of a fusion as it prefers to be sampled, of its translator alone, and of the flow alone in that."""
        alone = Fusion(fusion.source, fusion.translator, fusion.target)
        ways: dict[str, tuple[Fusion, dict[str, Any]]] = {
            name: (fusion, {}),
            f"{name}, the translator alone": (alone, {}),
            f"{name}, the flow alone": (alone, {"proposals": 1}),
        }
        facts = {
            "train_seconds": fusion.facts.get("training", {}).get("seconds"),
            "translator_params": sum(p.numel() for p in fusion.translator.parameters()),
        }
        found = {way: self.judge(one, way, **how) | facts for way, (one, how) in ways.items()}
        found[name]["novelty"] = self.novelty(fusion)
        return found

    @torch.no_grad()
    def novelty(self, fusion: Fusion, port: str = "") -> float:
        """Mean distance of z to the nearest z in the store, over that between two draws of the prior; 0 is a copy."""
        condition = self.asked.at("templates", port or fusion.source.port.name)
        asked = select(condition, range(min(NOVELTY_DRAWS, length(condition))))
        made = fusion.translator.sample(asked, generator=generator_for(0, "novelty"))
        atoms = fusion.decoder.atoms(fusion.target.port.name)
        assert atoms is not None
        known = self.store.target[:, : atoms.start]
        # The prior as the pairs were drawn from it: as widely.
        fresh = known.std() * torch.randn(NOVELTY_DRAWS, atoms.start, generator=generator_for(1, "novelty"))
        return round(float(novelty(made[:, : atoms.start], known).mean() / novelty(fresh, known).mean()), 4)


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
