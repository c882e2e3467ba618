"""The trained generator as an expert's package: weights, a card with figures, and how it came to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragoman_registry.atomic import replace_file
from dragoman_registry.patterns import is_hub_id
from dragoman_registry.results import Result, with_results
from dragoman_registry.strict import dump_json
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.run import Outcome

__all__ = ["save_outcome"]

CARD, HISTORY = "README.md", "training.json"


def save_outcome(outcome: Outcome, recipe: GANRecipe, folder: Path) -> None:
    """Write the expert (``stylegan2=FOLDER``), its card ``README.md`` and its history ``training.json``.

    Raises:
        InputError: the folder cannot be written.
    """
    outcome.expert.save_pretrained(folder)
    history = {"recipe": recipe.to_dict(), "features": outcome.features, "stages": outcome.records}
    replace_file(folder / HISTORY, dump_json(json.loads(json.dumps(history))))
    card = "---\n" + "".join(_front_matter(outcome)) + "---\n\n" + "\n\n".join(_body(outcome, folder.name)) + "\n"
    best = outcome.records[outcome.best]["best"]
    result = Result("frechet_distance", float(best["distance"]), "the recipe's images", outcome.features)
    samples = {"samples": recipe.evaluation.samples, "images_seen": best["images"]}
    replace_file(folder / CARD, with_results(card, folder.name, [result], samples).encode())


def critics_of(outcome: Outcome) -> list[dict[str, Any]]:
    """The critics that took part in the best snapshot."""
    found: list[dict[str, Any]] = outcome.records[outcome.best]["critics"]
    return found


def _front_matter(outcome: Outcome) -> Iterator[str]:
    names = [critic["name"] for critic in critics_of(outcome)]
    tags = ["dragoman", "dragoman:expert", "stylegan2", *(f"dragoman:critic:{name}" for name in names)]
    yield "library_name: dragoman\n"
    yield f"tags: {json.dumps(tags)}\n"
    yield "pipeline_tag: unconditional-image-generation\n"
    if is_hub_id(outcome.base):
        yield f"base_model: {json.dumps(outcome.base)}\n"
        yield "base_model_relation: finetune\n"


def _body(outcome: Outcome, title: str) -> Iterator[str]:
    yield f"# {title}"
    begun = f"trained on from `{outcome.base}`" if outcome.base else "trained from nothing"
    yield f"A StyleGAN2, {begun}. `stylegan2=ADDRESS` loads it; `training.json` says how it was made."
    yield "## Critics"
    rows = [
        f"| {each['name']} | {each['loss']} | {each['real_target']:g} | {each['since']:,} |"
        for each in critics_of(outcome)
    ]
    head = ["| frozen expert | loss | real target | since image |", "|---|---|---|---|"]
    yield "\n".join([*head, *rows]) if rows else "None beside its own discriminator."
    yield "## Stages"
    yield "\n".join(["| stage | critics | best distance | at image |", "|---|---|---|---|", *_stages(outcome)])
    yield f"Distances are Fréchet distances in the features {outcome.features}; compare them only with such."


def _stages(outcome: Outcome) -> Iterator[str]:
    for index, record in enumerate(outcome.records):
        names = ", ".join(critic["name"] for critic in record["critics"]) or "none"
        yield f"| {index} | {names} | {record['best']['distance']:.3f} | {int(record['best']['images']):,} |"
