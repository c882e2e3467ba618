"""The commands ``dragoman train gan`` and ``dragoman critics rank``."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["rank", "train"]


@click.group()
def train() -> None:
    """Train an expert."""


@train.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; OUT/model is the best.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
@click.option("--device", help="Where to run: cpu, cuda, ...; the accelerator if there is one.")
def gan(recipe: Path, out: Path, resume: bool, device: str | None) -> None:
    """Train a StyleGAN2 as RECIPE (a TOML file) says, with critics on the features of frozen experts.

    The best snapshot by the recipe's metric becomes OUT/model, which `stylegan2=OUT/model` names afterwards.
    """
    from dragoman.cli.sample import check_device
    from dragoman.training.device import is_main_process
    from dragoman_vision_aided.publishing import save_outcome
    from dragoman_vision_aided.recipe import GANRecipe
    from dragoman_vision_aided.run import train_gan

    if device is not None:
        check_device(device)
    read = GANRecipe.from_toml(recipe)
    outcome = train_gan(read, out, resume=resume, device=device)
    if is_main_process():
        save_outcome(outcome, read, out / "model")
        click.echo(out / "model")


@click.command()
@click.option("--images", required=True, type=click.Path(path_type=Path), help="Folder of real images.")
@click.option("--generator", required=True, metavar="EXPERT[=ADDRESS]", help="Expert whose images are told from them.")
@click.option("--bank", required=True, metavar="A,B,...", help="Experts, each NAME[=ADDRESS][:TAP[+TAP...]].")
@click.option("--count", type=click.IntRange(4), default=10_000, show_default=True, help="Most images of either kind.")
@click.option("--size", type=click.IntRange(8), help="Side of the real images.  [default: the generator's]")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of each probe.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--cache", type=click.Path(path_type=Path), help="Where features are kept.  [default: the user's cache]")
@click.option("--device", default="cpu", show_default=True, help="Where experts run, such as cuda.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def rank(
    images: Path,
    generator: str,
    bank: str,
    count: int,
    size: int | None,
    repeats: int,
    seed: int,
    cache: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Rank a bank of experts: which tells the generator's images from real ones best, by a linear probe?"""
    from dragoman.cli.sample import check_device
    from dragoman.cli.table import table
    from dragoman.endpoint import EndpointSpec, load_expert
    from dragoman_registry.image_folder import read_images
    from dragoman_vision_aided.bank import load_bank, split_bank
    from dragoman_vision_aided.features import FeatureCache, default_cache
    from dragoman_vision_aided.ranking import draw_images, rows_of
    from dragoman_vision_aided.ranking import rank as rank_bank

    where = check_device(device)
    spec = EndpointSpec.parse(generator)
    members = load_bank(split_bank(bank), device=where)
    fake = draw_images(load_expert(spec.expert, spec.address, device=where), count, seed)
    real = read_images(images, size=size or fake.shape[-1], channels=fake.shape[1], limit=count).images
    kept = FeatureCache(cache or default_cache())
    ranking = rank_bank(members, real, fake, seed=seed, repeats=repeats, cache=kept)
    if as_json:
        click.echo(json.dumps([ranked.to_dict() for ranked in ranking], indent=2))
        return
    for line in table(("place", "expert", "accuracy", "spread"), rows_of(ranking)):
        click.echo(line)
    samples = ranking[0].probe.samples
    click.echo(f"Validation accuracy of a linear probe, {samples} images of either kind, {repeats} splits.", err=True)
