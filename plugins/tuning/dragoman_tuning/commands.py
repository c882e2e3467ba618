"""The command ``dragoman tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["tune"]

LARGEST_SEED = 2**63 - 1


@click.command()
@click.argument("model")
@click.option("--task", required=True, type=click.Choice(["repair", "repurpose", "diversify"]), help="What is wrong.")
@click.option(
    "--classes",
    multiple=True,
    required=True,
    metavar="NAME[=ROW]",
    help="A class, by the critic's name; with the generator's number where the two differ. Repeatable.",
)
@click.option(
    "--critic", required=True, metavar="NAME[=ADDRESS][,...]", help="Classifier to tune against, or several of them."
)
@click.option("--judge", required=True, metavar="NAME[=ADDRESS]", help="Another classifier, which evaluates.")
@click.option(
    "--real",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with real images, FOLDER/NAME/*; half are tuned with, half evaluated against.",
)
@click.option(
    "--preset", help="published, prior, realistic or recognised.  [default: realistic with --real, else prior]"
)
@click.option(
    "--start",
    type=click.Choice(["mean", "top", "random", "own", "mixture"]),
    help="Where to start; what suits the task by default.",
)
@click.option("--diversity", type=click.FloatRange(0), help="Weight of the distance of pairs.")
@click.option("--space", type=click.Choice(["features", "probabilities", "pixels"]), help="Where pairs are told apart.")
@click.option("--starts", type=click.IntRange(1), default=2, show_default=True, help="Runs for each class.")
@click.option("--steps", type=click.IntRange(1), default=120, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), default=64, show_default=True, help="Latents in a step.")
@click.option("--samples", type=click.IntRange(2), default=1000, show_default=True, help="Samples in the evaluation.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option("--device", help="Where to run: cpu, cuda, ...; the accelerator if there is one.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; the fusion is in OUT/model."
)
def tune(model: str, out: Path, **options: Any) -> None:
    """Tune class embeddings of MODEL, a BigGAN (NAME[=ADDRESS]), whose weights stay as they are.

    Writes OUT/model, a package of a few KB that refers to the BigGAN, and OUT/report.json, figures before and after.

    \b
    dragoman tune biggan-fashion --task repair --classes dress \\
        --critic guide-fashion --judge judge-fashion --out runs/dress
    dragoman sample runs/dress/model dress -n 16
    """
    from dragoman_tuning.run import Request, carry_out

    report = carry_out(Request(model=model, **options), out)
    for line in report.lines():
        click.echo(line, err=True)
    click.echo(out / "model")
