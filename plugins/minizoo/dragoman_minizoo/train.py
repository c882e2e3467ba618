"""Train the mini zoo again: ``python -m dragoman_minizoo.train RECIPE --out DIR``.

Recipes are the TOML files in ``recipes/``. Fusions are made by ``dragoman fuse`` from recipes of the same folder.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import torch

from dragoman.cli.group import Sentences
from dragoman_minizoo.trainers.backbones import timm
from dragoman_minizoo.trainers.classifiers import captioner, classifier, reader
from dragoman_minizoo.trainers.generators import biggan, stylegan2
from dragoman_minizoo.trainers.pairs import clip
from dragoman_minizoo.trainers.running import Recipe

RECIPES = Path(__file__).with_name("recipes")
#: What makes a checkpoint of a recipe, by its ``kind``.
KINDS: dict[str, Callable[[Recipe, Path, bool], None]] = {
    "biggan": biggan,
    "captioner": captioner,
    "classifier": classifier,
    "clip": clip,
    "reader": reader,
    "stylegan2": stylegan2,
    "timm": timm,
}


@click.command(cls=Sentences)
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
@click.option("--steps", type=int, help="Train for so many steps instead of the recipe's.")
def main(name: str, out: Path, resume: bool, steps: int | None) -> None:
    """Train one of the mini zoo's experts from its recipe; OUT/model is the checkpoint."""
    recipe = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    recipe["training"]["steps"] = steps or recipe["training"]["steps"]
    # First weights come from torch's global generator.
    torch.manual_seed(recipe["training"]["seed"])
    KINDS[recipe["kind"]](recipe, out, resume)
    (out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    click.echo(out / "model")


if __name__ == "__main__":
    main()
