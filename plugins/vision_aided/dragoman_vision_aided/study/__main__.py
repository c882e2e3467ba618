"""Run the study: real images, critics, every variant with every seed, figures, a table and two charts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.cli.group import Sentences
from dragoman.images import save_png, to_pil
from dragoman_minizoo.data import fashion_mnist
from dragoman_vision_aided.bank import Member, load_bank
from dragoman_vision_aided.publishing import save_outcome
from dragoman_vision_aided.ranking import draw_images
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.run import RUN, STAGE, StageRecord, begin_run, train_gan
from dragoman_vision_aided.study.chart import curves, rankings
from dragoman_vision_aided.study.critics import BANK, ZOO, pretrain
from dragoman_vision_aided.study.judging import TestImages, tabulate
from dragoman_vision_aided.study.overfitting import overfitting
from dragoman_vision_aided.study.pictures import stacked
from dragoman_vision_aided.study.probing import probe_stages
from dragoman_vision_aided.study.witness import halves, train_witness

__all__ = ["VARIANTS", "main", "recipe_for"]

JUDGE = "judge-fashion:features"
#: An expert of the drawn bank that judges what the zoo's critics have helped to train, since it saw no garment.
OTHER = "heaps-convnext"
DONE, SAMPLES = "done.json", "samples.png"
#: Samples of the distances that are reported, and seeds that a report looks for.
_TESTED, _MOST_SEEDS = 5000, 100
_DIFFAUGMENT = ("color", "translation", "cutout")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        strategy: of the critics.
        augment: of the images that StyleGAN2's own discriminator sees.
        bank: of the critics: ``"drawn"``, experts that have never seen a garment, or ``"zoo"``.
    """

    strategy: str
    augment: tuple[str, ...] = ()
    bank: str = "drawn"


VARIANTS = {
    "plain": Variant("none"),
    "plain+diffaugment": Variant("none", _DIFFAUGMENT),
    "fixed-zoo": Variant("fixed", bank="zoo"),
    "fixed-zoo+diffaugment": Variant("fixed", _DIFFAUGMENT, bank="zoo"),
    "progressive-zoo": Variant("progressive", bank="zoo"),
    "progressive-zoo+diffaugment": Variant("progressive", _DIFFAUGMENT, bank="zoo"),
    "fixed": Variant("fixed"),
    "progressive": Variant("progressive"),
}


@click.command(cls=Sentences)
@click.option("--out", default="runs/vision-aided", show_default=True, type=click.Path(path_type=Path))
@click.option("--seed", "seeds", default=(0, 1, 2), show_default=True, multiple=True, help="One seed; repeatable.")
@click.option("--variants", default=",".join(VARIANTS), show_default=True)
@click.option("--images", "count", default=1000, show_default=True, help="Real images to train on.")
@click.option("--kimg", default=40.0, show_default=True, help="Thousands of images that each variant sees.")
@click.option("--count", "critics", default=2, show_default=True, help="Critics of fixed and progressive.")
@click.option("--snapshots", default=8, show_default=True, help="Per variant.")
@click.option("--samples", default=1000, show_default=True, help="Of each distance while training.")
@click.option(
    "--discriminator",
    nargs=4,
    type=click.IntRange(min=1),
    default=None,
    help="Channels of StyleGAN2's own discriminator at 4, 8, 16 and 32 pixels; the mini's otherwise.",
)
@click.option(
    "--weight", default=0.5, show_default=True, type=click.FloatRange(min=0), help="Of each critic of the zoo's bank."
)
@click.option("--critic-steps", default=400, show_default=True, help="To pretrain each critic's expert.")
@click.option("--device", default="cpu", show_default=True)
def main(
    out: Path, seeds: tuple[int, ...], variants: str, count: int, critic_steps: int, device: str, **plan: Any
) -> None:
    """Train StyleGAN2 on COUNT images of Fashion-MNIST, with and without critics.

    All variants see equally many images, from the same first weights per seed. Snapshots are chosen by validation
    images and reported on test images. A variant that is finished is not run again, and one that was interrupted goes
    on: run the same command once more. Seeds may be run side by side, into one folder.
    """
    if unknown := set(variants.split(",")) - set(VARIANTS):
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}.", param_hint="--variants"
        )
    write_images(out / "images", "train", count)
    write_images(out / "validation", "validation", plan["samples"])
    drawn = [pretrain(name, out / "critics", steps=critic_steps) for name in BANK]
    compared, others = halves(fashion_mnist("test"), _TESTED)
    witness = train_witness(others, compared, out / "witness")
    judges = {"witness": witness, "judge": JUDGE, OTHER: f"timm={out / 'critics' / OTHER}:pooled"}
    bench = Bench(
        out,
        {"drawn": load_bank(drawn), "zoo": load_bank(ZOO)},
        fashion_mnist("train").images[:count],
        fashion_mnist("validation").images[: plan["samples"]],
        TestImages(compared.images, others.images, judges),
        device,
    )
    settings = {"images": count, "critic_steps": critic_steps, "tested": _TESTED, **plan}
    for seed in seeds:
        for name in variants.split(","):
            one_run(bench, name, seed, recipe_for(bench, name, seed, **plan))
            report(out, settings)
    click.echo((out / "report.md").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Bench:
    """What all runs are measured with.

    Attributes:
        out: folder of the study.
        banks: the critics' experts.
        real: images that are trained on, for the probe.
        unseen: validation images.
        test: images that figures are from.
        device: where training takes place.
    """

    out: Path
    banks: Mapping[str, list[Member]]
    real: Tensor
    unseen: Tensor
    test: TestImages
    device: str


def report(out: Path, settings: dict[str, Any]) -> None:
    """Tables and charts of all runs that are finished."""
    done = [out / f"{name}-{seed}" / DONE for name in VARIANTS for seed in range(_MOST_SEEDS)]
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in done if path.exists()]
    for name, content in (
        ("report.json", json.dumps({"settings": settings, "runs": runs}, indent=1)),
        ("curve.svg", curves(runs)),
        ("ranking.svg", rankings(runs)),
        ("report.md", tabulate(runs)),
    ):
        with replacing(out / name) as file:
            file.write(content.encode())
    first = {run["variant"]: out / f"{run['variant']}-{run['seed']}" / SAMPLES for run in reversed(runs)}
    save_png(stacked(dict(reversed(first.items()))), out / "pictures.png")


def recipe_for(
    bench: Bench,
    name: str,
    seed: int,
    kimg: float,
    critics: int,
    snapshots: int,
    samples: int,
    discriminator: tuple[int, ...] | None = None,
    weight: float = 0.5,
) -> GANRecipe:
    """The recipe of one run; an eighth of the images is seen before each critic that comes."""
    variant, out = VARIANTS[name], bench.out
    # A critic that comes late has little time to be of use: most images are seen with all of them.
    before = [kimg / 8] * {"none": 0, "fixed": 1, "progressive": critics}[variant.strategy]
    bank = [] if variant.strategy == "none" else [member.spec for member in bench.banks[variant.bank]]
    table = {"bank": bank, "strategy": variant.strategy, "count": critics, "width": 64, "probe_images": 1000}
    # That critics of the zoo see images as they are was chosen in a pilot on seed 0, by validation images.
    options = {"augmentation": "none", "weight": weight} if variant.bank == "zoo" else {}
    return GANRecipe.from_dict(
        {
            "data": {"images": str(out / "images"), "validation": str(out / "validation")},
            "model": {
                "configuration": "mini",
                "resolution": 32,
                "image_channels": 1,
                "discriminator": list(discriminator or ()),
            },
            "critics": {**table, **options},
            "training": {
                "stages": [*before, kimg - sum(before)],
                "batch_size": 16,
                "learning_rate": 0.005,
                "path_length": -1.0,
                "seed": seed,
                "snapshot": kimg / snapshots,
                "augment": list(variant.augment),
            },
            "evaluation": {"features": JUDGE, "samples": samples},
        }
    )


def one_run(bench: Bench, name: str, seed: int, recipe: GANRecipe) -> None:
    """Train one variant, or go on with it, and measure its best snapshot on test images."""
    folder = bench.out / f"{name}-{seed}"
    if (folder / DONE).exists():
        return
    click.echo(f"{name}, seed {seed}", err=True)
    if not (folder / RUN).exists():
        begin_run(recipe, folder)
        share_first_stage(bench.out, name, seed, folder)
    outcome = train_gan(recipe, folder, resume=True, device=bench.device)
    save_outcome(outcome, recipe, folder / "model")
    expert, records = outcome.expert.cpu(), outcome.records
    save_png(bench.test.pictures(expert), folder / SAMPLES)
    assert expert.discriminator is not None
    best = records[outcome.best]["best"]
    variant = VARIANTS[name]
    probing = [*bench.banks["drawn"], *bench.banks["zoo"]] if variant.strategy == "none" else bench.banks[variant.bank]
    result = {
        "variant": name,
        "seed": seed,
        "distances": bench.test.distances(expert),
        "validation": best["distance"],
        "best_at": best["images"],
        "seconds": sum(record["seconds"] for record in records),
        "curve": seen_in_all(records),
        "overfitting": overfitting(
            expert.discriminator, bench.real, bench.unseen, draw_images(expert, len(bench.unseen), seed + 1)
        ),
        "critics": [[each["name"] for each in record["critics"]] for record in records],
        "probes": probe_stages(folder, len(records), expert.generator, probing, bench.real, seed),
    }
    with replacing(folder / DONE) as file:
        file.write(json.dumps(result).encode())


def share_first_stage(out: Path, name: str, seed: int, folder: Path) -> None:
    """Whatever begins without critics begins alike: take over what another variant has, where it is finished."""
    own = VARIANTS[name]
    for other, variant in VARIANTS.items():
        record = out / f"{other}-{seed}" / "stage-0" / STAGE
        alone = "none" in (own.strategy, variant.strategy)
        if other == name or alone or own.augment != variant.augment or not record.exists():
            continue
        if "best" in json.loads(record.read_text(encoding="utf-8")):
            shutil.copytree(record.parent, folder / "stage-0")
            return


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
