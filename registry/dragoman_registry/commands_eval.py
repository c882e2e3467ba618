"""The command ``dragoman eval``. It imports nothing heavy until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dragoman_registry.evaluation import Evaluation

__all__ = ["evaluate"]

#: How figures are shown.
_TITLES = {
    "frechet_distance": "Frechet distance",
    "kernel_distance": "kernel distance (KID)",
    "kernel_distance_std": "its spread over subsets",
    "diversity": "mean pairwise distance",
    "diversity_ratio": "the same, over that of real images",
}


@click.command("eval")
@click.argument("model")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="Folder of real images.")
@click.option(
    "--features",
    "features_of",
    default="clip:image",
    show_default=True,
    metavar="EXPERT[=ADDRESS][:PORT]",
    help="The expert in whose features images are compared.",
)
@click.option("--metrics", default="fid,kid,prdc,diversity", show_default=True, help="What is measured.")
@click.option("--samples", type=click.IntRange(2), help="Images of either kind.  [default: as many as are real]")
@click.option("--prompts", type=click.Path(path_type=Path), help="Prompts of a fusion, one a line.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images made at once.")
@click.option("--device", default="cpu", show_default=True, help="Where it runs, such as cuda.")
@click.option("--card/--no-card", default=True, help="Whether results go into the card of a model in a folder.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def evaluate(
    model: str,
    real: Path,
    features_of: str,
    metrics: str,
    samples: int | None,
    prompts: Path | None,
    seed: int,
    batch_size: int,
    device: str,
    card: bool,
    as_json: bool,
) -> None:
    """Compare what MODEL makes with real images.

    MODEL is a generator, NAME[=ADDRESS][:PORT], or a fusion: a folder or an address. Figures depend on the expert that
    gives the features, so each is shown with its name. Where MODEL lies in a folder, they also go into its card.
    """
    from dragoman.cli.sample import check_device
    from dragoman_registry.evaluation import evaluate as run
    from dragoman_registry.evaluation import write_results

    texts = [line.strip() for line in prompts.read_text(encoding="utf-8").splitlines()] if prompts else []
    found = run(
        model,
        real,
        features_of=features_of,
        metrics=[name.strip() for name in metrics.split(",") if name.strip()],
        samples=samples,
        prompts=[text for text in texts if text],
        seed=seed,
        batch_size=batch_size,
        device=check_device(device),
    )
    _show(found, as_json)
    folder = Path(model.partition("=")[2] or model)
    if card and folder.is_dir():
        write_results(folder, found)
        click.echo(f"The results are in {folder / 'README.md'}.", err=True)


def _show(found: Evaluation, as_json: bool) -> None:
    import dataclasses
    import json

    from dragoman.cli.table import table

    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    rows = [(_TITLES.get(name, name), f"{value:.4g}", found.features) for name, value in found.figures.items()]
    for line in table(("metric", "value", "features"), rows):
        click.echo(line)
    click.echo(f"{found.samples} samples against as many images of {found.dataset}, seed {found.seed}.", err=True)
