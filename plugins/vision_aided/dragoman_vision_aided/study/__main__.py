"""Run the study: real images, critics, every variant with every seed, figures, a table and two charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dragoman.images import save_png, to_pil
from dragoman_minizoo.data import fashion_mnist
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.run import StageRecord, train_gan
from dragoman_vision_aided.study.chart import chart
from dragoman_vision_aided.study.critics import BANK, pretrain
from dragoman_vision_aided.study.judging import TestImages, tabulate

__all__ = ["VARIANTS", "main", "recipe_for"]

JUDGE = "judge-fashion:features"
#: Strategy of the critics, and augmentation of the images that StyleGAN2's own discriminator sees.
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("none", ()),
    "plain+diffaugment": ("none", ("color", "translation", "cutout")),
    "fixed": ("fixed", ()),
    "fixed+diffaugment": ("fixed", ("color", "translation", "cutout")),
    "progressive": ("progressive", ()),
    "progressive+diffaugment": ("progressive", ("color", "translation", "cutout")),
}


@click.command()
@click.option("--out", default="runs/vision-aided", show_default=True, type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True, help="How many seeds, from 0.")
@click.option("--variants", default=",".join(VARIANTS), show_default=True)
@click.option("--images", "count", default=1000, show_default=True, help="Real images to train on.")
@click.option("--kimg", default=192.0, show_default=True, help="Thousands of images that each variant sees.")
@click.option("--count", "critics", default=2, show_default=True, help="Critics of fixed and progressive.")
@click.option("--snapshots", default=24, show_default=True, help="Per variant.")
@click.option("--samples", default=2000, show_default=True, help="Of each distance.")
@click.option("--critic-steps", default=500, show_default=True, help="To pretrain each critic's expert.")
@click.option("--device", default="cpu", show_default=True)
def main(
    out: Path,
    seeds: int,
    variants: str,
    count: int,
    kimg: float,
    critics: int,
    snapshots: int,
    samples: int,
    critic_steps: int,
    device: str,
) -> None:
    """Train StyleGAN2 on COUNT images of Fashion-MNIST, with and without critics.

    All variants see equally many images, from the same first weights per seed. Snapshots are chosen by validation
    images and reported on test images. A variant that is finished is not run again, and one that was interrupted goes
    on: run the same command once more.
    """
    write_images(out / "images", "train", count)
    write_images(out / "validation", "validation", samples)
    bank = [pretrain(name, out / "critics", steps=critic_steps) for name in BANK]
    test = TestImages(fashion_mnist("test").images, samples, JUDGE)
    runs = [
        one_run(out, name, seed, recipe_for(out, name, seed, bank, kimg, critics, snapshots, samples), test, device)
        for seed in range(seeds)
        for name in variants.split(",")
    ]
    settings = {"images": count, "kimg": kimg, "seeds": seeds, "samples": samples, "critics": critics}
    (out / "report.json").write_text(json.dumps({"settings": settings, "runs": runs}, indent=1), encoding="utf-8")
    (out / "curve.svg").write_text(chart(runs), encoding="utf-8")
    (out / "report.md").write_text(tabulate(runs), encoding="utf-8")
    click.echo(tabulate(runs))


def recipe_for(
    out: Path, variant: str, seed: int, bank: list[str], kimg: float, critics: int, snapshots: int, samples: int
) -> GANRecipe:
    """The recipe of one run; a third of the images is seen before the first critic comes."""
    strategy, augment = VARIANTS[variant]
    stages = {
        "none": [kimg],
        "fixed": [kimg / 3, 2 * kimg / 3],
        "progressive": [kimg / 3, *[2 * kimg / 3 / critics] * critics],
    }[strategy]
    return GANRecipe.from_dict(
        {
            "data": {"images": str(out / "images"), "validation": str(out / "validation")},
            "model": {"configuration": "mini", "resolution": 32, "image_channels": 1},
            "critics": {"bank": bank, "strategy": strategy, "count": critics, "width": 64, "probe_images": 1000},
            "training": {
                "stages": stages,
                "batch_size": 16,
                "path_length": -1.0,
                "seed": seed,
                "snapshot": kimg / snapshots,
                "augment": list(augment),
            },
            "evaluation": {"features": JUDGE, "samples": samples},
        }
    )


def one_run(out: Path, variant: str, seed: int, recipe: GANRecipe, test: TestImages, device: str) -> dict[str, Any]:
    """Train one variant, or go on with it, and measure its best snapshot on test images."""
    folder = out / f"{variant}-{seed}"
    done = folder / "done.json"
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    click.echo(f"{variant}, seed {seed}", err=True)
    outcome = train_gan(recipe, folder, resume=(folder / "run.json").exists(), device=device)
    expert = outcome.expert.cpu()
    save_png(test.pictures(expert), folder / "samples.png")
    result = {
        "variant": variant,
        "seed": seed,
        "distances": test.distances(expert),
        "best_at": outcome.records[outcome.best]["best"]["images"],
        "seconds": sum(record["seconds"] for record in outcome.records),
        "curve": seen_in_all(outcome.records),
        "rankings": [record["ranking"] for record in outcome.records],
        "critics": [[each["name"] for each in record["critics"]] for record in outcome.records],
    }
    done.write_text(json.dumps(result), encoding="utf-8")
    return result


def seen_in_all(records: list[StageRecord]) -> list[tuple[int, float]]:
    """Images seen and validation distance over all stages.

    A stage begins at the best snapshot of the one before; what came after that snapshot counts as seen all the same.
    """
    points, before = [], 0
    for record in records:
        points += [(int(entry["images"] - record["since"] + before), entry["distance"]) for entry in record["curve"]]
        before = points[-1][0]
    return points


def write_images(folder: Path, split: str, count: int) -> None:
    """The first ``count`` images of a split as PNG files."""
    if folder.is_dir() and len(list(folder.iterdir())) == count:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(fashion_mnist(split).images[:count]):
        to_pil(image.float() / 255).save(folder / f"{index:05d}.png")


if __name__ == "__main__":
    main()
