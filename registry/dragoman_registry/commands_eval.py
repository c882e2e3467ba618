"""The command ``dragoman eval``. It imports nothing heavy until it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dragoman.errors import InputError
from dragoman.knobs import split_knobs

if TYPE_CHECKING:
    from dragoman_registry.evaluation import Evaluation
    from dragoman_registry.sweep import Sweep

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
@click.option(
    "--knob", "knobs", multiple=True, metavar="NAME=VALUE", help="One of the model's own choices; may be repeated."
)
@click.option(
    "--sweep",
    "swept",
    metavar="NAME=VALUE,VALUE,...",
    help="Evaluate at several values of a knob, as in guidance_scale=1,2,4,8.",
)
@click.option("--critic", help="With --sweep: the critic that says how well images fit their prompts.")
@click.option(
    "--critic-reads",
    metavar="EXPERT[=ADDRESS][:PORT]",
    default="",
    help="What encodes prompts for the critic, such as bert:tokens; texts as they are when omitted.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="With --sweep: an .svg file for the curve."
)
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
    knobs: tuple[str, ...],
    swept: str | None,
    critic: str | None,
    critic_reads: str,
    plot: Path | None,
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

    if not swept and (critic or critic_reads or plot):
        raise InputError("--critic, --critic-reads and --plot belong to --sweep; say which knob to sweep.")
    options: dict[str, Any] = {
        "features_of": features_of,
        "metrics": [name.strip() for name in metrics.split(",") if name.strip()],
        "samples": samples,
        "prompts": _texts(prompts),
        "seed": seed,
        "batch_size": batch_size,
        "device": check_device(device),
        "knobs": split_knobs(knobs),
    }
    if swept:
        _sweep(model, real, swept, critic, critic_reads, plot, as_json, options)
        return
    from dragoman_registry.evaluation import evaluate as run
    from dragoman_registry.evaluation import write_results

    found = run(model, real, **options)
    _show(found, as_json)
    folder = Path(model.partition("=")[2] or model)
    if card and folder.is_dir():
        write_results(folder, found)
        click.echo(f"The results are in {folder / 'README.md'}.", err=True)


def _texts(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as prompts: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


def _sweep(
    model: str,
    real: Path,
    asked: str,
    critic: str | None,
    reads: str,
    plot: Path | None,
    as_json: bool,
    options: Mapping[str, Any],
) -> None:
    from dragoman_registry.curve import svg
    from dragoman_registry.sweep import Alignment, sweep

    if plot is not None and plot.suffix != ".svg":
        raise InputError(f"The curve is drawn as .svg, not as {plot.name!r}.")
    if reads and not critic:
        raise InputError("--critic-reads says what a critic reads; name one with --critic.")
    alignment = Alignment(critic, reads, options["device"]) if critic else None
    found = sweep(model, real, asked, alignment=alignment, **options)
    _show_sweep(found, as_json)
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(svg(found, next(iter(found.points[0].evaluation.figures))), encoding="utf-8")
        click.echo(plot, err=True)


def _show_sweep(found: Sweep, as_json: bool) -> None:
    import dataclasses
    import json

    from dragoman.cli.table import table

    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    first = found.points[0].evaluation
    titles = [found.knob, *([f"alignment ({found.critic})"] if found.critic else []), *first.figures]
    rows = [
        [
            str(point.value),
            *([f"{point.alignment:.4g}"] if point.alignment is not None else []),
            *(f"{value:.4g}" for value in point.evaluation.figures.values()),
        ]
        for point in found.points
    ]
    for line in table(titles, rows):
        click.echo(line)
    click.echo(
        f"{first.samples} samples against as many images of {first.dataset}, in {first.features}, seed {first.seed}.",
        err=True,
    )


def _show(found: Evaluation, as_json: bool) -> None:
    import dataclasses
    import json

    from dragoman.cli.table import table

    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    rows = []
    for name, value in found.figures.items():
        rows.append((_TITLES.get(name, name), f"{value:.4g}", found.features))
        if name == "kernel_distance" and "kernel_distance_std" not in found.figures:
            rows.append((_TITLES["kernel_distance_std"], "none: one has all samples", found.features))
    for line in table(("metric", "value", "features"), rows):
        click.echo(line)
    click.echo(f"{found.samples} samples against as many images of {found.dataset}, seed {found.seed}.", err=True)
