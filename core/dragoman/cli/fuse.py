"""``dragoman fuse``: train a translator between two experts and save the fusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dragoman.errors import InputError

__all__ = ["fuse"]


@click.command()
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option("--from", "source", metavar="EXPERT[:PORT]", help="Expert that reads the prompt, such as bert:pooled.")
@click.option("--to", "target", metavar="EXPERT[:PORT]", help="Expert that renders, such as biggan-fashion:latent.")
@click.option("--translator", default="cinn", show_default=True, help="Translator to train.")
@click.option("--captioner", help="Expert that captions the target's images; by default the one on the target's card.")
@click.option("--pairs", type=click.Path(path_type=Path), help="Folder with your own pairs instead of generated ones.")
@click.option("--count", type=int, help="How many pairs to generate.")
@click.option("--critic", help="Critic that takes part in training.")
@click.option("--ranker", default="", help="Critic that ranks candidates when sampling.")
@click.option("--steps", type=int, help="Training steps.")
@click.option("--minutes", type=float, help="Training time instead of steps.")
@click.option("--seed", type=int, help="Seed of everything that is drawn.")
@click.option("--device", help="Where to run: cpu, cuda, ...; the accelerator if there is one.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; the fusion is in OUT/model."
)
def fuse(recipe: Path | None, out: Path, device: str | None, resume: bool, **options: Any) -> None:
    r"""Fuse two experts: train a translator from one's representation into the other's space.

    Give RECIPE (a TOML file, or the folder of a fusion, which is then made again), or --from and --to.

    \b
    dragoman fuse --from bert --to biggan-fashion --minutes 2 --out runs/mine
    dragoman fuse recipe.toml --out runs/mine
    """
    from dragoman.fuse import fuse as carry_out

    chosen = _recipe_at(recipe, options) if recipe else _recipe_from(options)
    fusion = carry_out(chosen, out, device=device, resume=resume)
    fusion.save_pretrained(out / "model")
    click.echo(out / "model")


def _recipe_at(path: Path, options: dict[str, Any]) -> Any:
    from dragoman.recipe import Recipe

    given = sorted(name for name in ("source", "target", "captioner", "pairs", "critic") if options[name])
    if given:
        raise InputError(f"A recipe says everything itself; leave out --{given[0]}.")
    found = Recipe.from_dict(_stored_recipe(path)) if path.is_dir() else Recipe.from_toml(path)
    return _with_training(found, options)


def _stored_recipe(folder: Path) -> dict[str, Any]:
    from dragoman.formats import format_of
    from dragoman.stores import locate

    location = locate(folder)
    recipe = format_of(location).describe(location.folder).get("recipe")
    if not recipe:
        raise InputError(f"The package {folder} carries no recipe, so it cannot be made again.")
    return dict(recipe)


def _recipe_from(options: dict[str, Any]) -> Any:
    from dragoman.recipe import Recipe

    for name, flag in (("source", "--from"), ("target", "--to")):
        if not options[name]:
            raise InputError(f"{flag} is missing; name the expert, or give a recipe.")
    pairs = {"folder": str(options["pairs"])} if options["pairs"] else {}
    pairs |= {name: options[name] for name in ("captioner", "count") if options[name]}
    if options["seed"] is not None and "folder" not in pairs:
        pairs["seed"] = options["seed"]
    recipe = Recipe(
        source=options["source"],
        target=options["target"],
        translator={"name": options["translator"]},
        pairs=pairs,
        method={"name": "paired"} | ({"critic": options["critic"]} if options["critic"] else {}),
        ranker=options["ranker"],
    )
    return _with_training(recipe, options)


def _with_training(recipe: Any, options: dict[str, Any]) -> Any:
    from dataclasses import replace

    if options["steps"] and options["minutes"]:
        raise InputError("Give --steps or --minutes, not both.")
    training = dict(recipe.training)
    if options["steps"] or options["minutes"]:
        training = {name: value for name, value in training.items() if name not in ("steps", "minutes")}
    training |= {name: options[name] for name in ("steps", "minutes", "seed") if options[name] is not None}
    return replace(recipe, training=training)
