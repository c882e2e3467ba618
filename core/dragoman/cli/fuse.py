"""``dragoman fuse``: train a translator between two experts and save the fusion."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from dragoman.cli.group import INTERRUPTED
from dragoman.errors import InputError

if TYPE_CHECKING:
    from dragoman.recipe import Recipe

__all__ = ["fuse"]

#: Options that a recipe replaces, by the name of their parameter.
_FLAGS = {
    "source": "--from",
    "target": "--to",
    "translator": "--translator",
    "captioner": "--captioner",
    "pairs": "--pairs",
    "count": "--count",
    "critic": "--critic",
    "ranker": "--ranker",
}
DEFAULT_TRANSLATOR = "cinn"
LARGEST_SEED = 2**63 - 1


@click.command()
@click.argument("recipe", required=False)
@click.option("--from", "source", metavar="EXPERT[:PORT]", help="Expert that reads the prompt, such as bert:pooled.")
@click.option("--to", "target", metavar="EXPERT[:PORT]", help="Expert that renders, such as biggan-fashion:latent.")
@click.option("--translator", help="Translator to train.  [default: cinn]")
@click.option("--captioner", help="Expert that captions the target's images.  [default: the one on the target's card]")
@click.option("--pairs", type=click.Path(path_type=Path), help="Folder with your own pairs instead of generated ones.")
@click.option("--count", type=click.IntRange(2), help="How many pairs to generate.")
@click.option("--critic", help="Critic that takes part in training.")
@click.option("--ranker", help="Critic that ranks candidates when sampling.")
@click.option("--steps", type=click.IntRange(1), help="Training steps.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Training time; with --steps, whichever is over first."
)
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), help="Seed of everything that is drawn.")
@click.option("--device", help="Where to run: cpu, cuda, ...; the accelerator if there is one.")
@click.option(
    "--resume", is_flag=True, help="Go on with the run that was interrupted in the folder; --out alone will do."
)
@click.option("--half", is_flag=True, help="Round the trained weights to half precision, which halves the package.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; the fusion is in OUT/model."
)
def fuse(recipe: str | None, out: Path, device: str | None, resume: bool, half: bool, **options: Any) -> None:
    """Fuse two experts: train a translator from one's representation into the other's space.

    Give RECIPE (a TOML file, or a fusion, which is then made again), or --from and --to.

    \b
    dragoman fuse --from bert --to biggan-fashion --minutes 2 --out runs/mine
    dragoman fuse recipe.toml --out runs/mine
    dragoman fuse --resume --out runs/mine
    """
    chosen = _chosen(recipe, out, resume, options)
    try:
        with _noting_interrupts():
            _carry_out(chosen, out, device, resume, half)
    except KeyboardInterrupt:
        click.echo(_farewell(out, device), err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


@contextmanager
def _noting_interrupts() -> Iterator[None]:
    """Let an interrupt be one where a library has made another error of it, as torch does while it reads a file."""
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _farewell(out: Path, device: str | None) -> str:
    from dragoman.run import Run

    if not Run(out).started:
        return "Interrupted before the work began."
    where = ["--device", device] if device else []
    return f"Interrupted; go on with: {shlex.join(['dragoman', 'fuse', '--resume', '--out', str(out), *where])}"


def _carry_out(chosen: Recipe, out: Path, device: str | None, resume: bool, half: bool) -> None:
    from dragoman.cli.sample import check_device
    from dragoman.fuse import fuse as carry_out
    from dragoman.training.device import is_main_process

    if device is not None:
        check_device(device)
    fusion = carry_out(chosen, out, device=device, resume=resume)
    if is_main_process():
        if half:
            fusion.round_weights()
        fusion.save_pretrained(out / "model")
        click.echo(out / "model")


def _chosen(recipe: str | None, out: Path, resume: bool, options: dict[str, Any]) -> Recipe:
    given = {name for name, value in options.items() if value not in (None, "")}
    if resume and recipe is None and not given:
        from dragoman.run import Run

        return Run(out).recipe()
    return _recipe_at(recipe, options) if recipe else _recipe_from(options)


def _recipe_at(address: str, options: dict[str, Any]) -> Recipe:
    from dragoman.recipe import Recipe

    for name, flag in _FLAGS.items():
        if options[name]:
            raise InputError(f"A recipe says everything itself; leave out {flag}.")
    path = Path(address)
    is_toml = path.suffix == ".toml" or path.is_file()
    found = Recipe.from_toml(path) if is_toml else Recipe.from_dict(_stored_recipe(address))
    if options["seed"] is not None and "folder" not in found.pairs:
        found = replace(found, pairs={**found.pairs, "seed": options["seed"]})
    return _with_training(found, options)


def _stored_recipe(address: str) -> dict[str, Any]:
    from dragoman.formats import format_of
    from dragoman.stores import locate

    location = locate(address)
    recipe = format_of(location).describe(location.folder).get("recipe")
    if not recipe:
        raise InputError(f"The package {address} carries no recipe, so it cannot be made again.")
    return dict(recipe)


def _recipe_from(options: dict[str, Any]) -> Recipe:
    from dragoman.recipe import Recipe

    for name in ("source", "target"):
        if not options[name]:
            raise InputError(f"{_FLAGS[name]} is missing; name the expert, or give a recipe.")
    recipe = Recipe(
        source=options["source"],
        target=options["target"],
        translator={"name": options["translator"] or DEFAULT_TRANSLATOR},
        pairs=_pairs(options),
        method={"name": "paired"} | ({"critic": options["critic"]} if options["critic"] else {}),
        ranker=options["ranker"] or "",
    )
    return _with_training(recipe, options)


def _pairs(options: dict[str, Any]) -> dict[str, Any]:
    generated = {name: options[name] for name in ("captioner", "count", "seed") if options[name] is not None}
    if not options["pairs"]:
        return generated
    for name in ("captioner", "count"):
        if name in generated:
            raise InputError(f"With --pairs nothing is generated; leave out {_FLAGS[name]}.")
    return {"folder": str(options["pairs"])}


def _with_training(recipe: Recipe, options: dict[str, Any]) -> Recipe:
    chosen = {name: options[name] for name in ("steps", "minutes", "seed") if options[name] is not None}
    training = dict(recipe.training)
    if "steps" in chosen or "minutes" in chosen:
        training = {name: value for name, value in training.items() if name not in ("steps", "minutes")}
    return replace(recipe, training=training | chosen)
