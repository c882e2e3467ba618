"""Train a fusion in front of the user, and judge it beside the shipped one and three baselines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

import dragoman
from dragoman.fuse import fuse
from dragoman.fusion import Fusion
from dragoman.images import grid, save_png
from dragoman.recipe import Recipe
from dragoman.training.seeding import generator_for
from dragoman_minizoo.evaluating import IMAGES_PER_PROMPT, Ground
from dragoman_minizoo.prompts import TIERS, check_unseen
from dragoman_minizoo.publication import publish_and_pull
from dragoman_minizoo.references import SHIPPED, begin, collect, references_beside

__all__ = ["run"]

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
        minutes: time to train it, instead of the recipe's steps and minutes.
        pairs: how many pairs to make, instead of the recipe's number.
    """
    recipe = Recipe.from_toml(Path(__file__).with_name("recipes") / "quick.toml")
    others = {name: value for name, value in recipe.training.items() if name not in ("steps", "minutes")}
    recipe = replace(
        recipe,
        training={**(others | {"minutes": minutes} if minutes else recipe.training), "seed": seed},
        pairs={**recipe.pairs, "count": pairs or recipe.pairs["count"]},
    )
    out.mkdir(parents=True, exist_ok=True)
    with references_beside(recipe, out, count) as references:
        ground = Ground.open(recipe, out, count)
        overlap = sum(check_unseen(one, ground.store.captions) for one in ground.asked.prompts.values())
        # Told to begin before training, whose budget in minutes is measured on a machine as busy as it will be.
        begin(references)
        click.echo(f"meanwhile, {SHIPPED} and three baselines are judged on another core", err=True)
        with _one_core_less():
            quick = fuse(recipe, out, device="cpu")
            quick.save_pretrained(out / "model")
            fusions = ground.judge_all_ways("quick", quick)
        click.echo("publishing on an embedded Hub, and pulling from there in a new process", err=True)
        publication = publish_and_pull(out / "model")
        others = collect(references, out)
    report = {
        "prompts_per_tier": count,
        "images_per_prompt": IMAGES_PER_PROMPT,
        "verbatim_overlap": overlap,
        "chance": {"class_accuracy": 0.1, "attribute_accuracy": 0.333},
        **others,
        "fusions": fusions | others["fusions"],
        "publication": publication,
    }
    _summary(report)
    click.echo(_publication(publication), err=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _picture(dragoman.load(SHIPPED), out / "grid.png")
    for name in ("grid.png", "report.json", "model"):
        click.echo(out / name)


@contextmanager
def _one_core_less() -> Iterator[None]:
    """Leave a core to the process beside: threads that wait for each other cannot share one with it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _picture(fusion: Fusion, path: Path) -> None:
    images = fusion.sample(list(PICTURED), 12, generator=generator_for(0, "picture"))
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
