"""``python -m dragoman_codec.study``: one codec with a knob against five of a fixed quality.

Everything is trained here, on the photographs of :mod:`dragoman_codec.photographs` and a folder of more, and compared
on photographs that nothing was trained on, by real streams. A model that is there already is not trained again, and one
that was interrupted goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from dragoman.cli.group import Sentences
from dragoman.errors import InputError
from dragoman.training.trainer import CHECKPOINT
from dragoman_codec.benchmark import PILLOW, QUALITIES, _coded
from dragoman_codec.bjontegaard import bd_rate
from dragoman_codec.evaluation import Coder, Point, curve_of, of_pillow
from dragoman_codec.expert import Codec
from dragoman_codec.photographs import UNSEEN, photographs
from dragoman_codec.train import HIGH, LOW, Plan, train_codec

__all__ = ["Run", "lagrangian", "runs_of"]

#: Steps with modulations take so much longer than those without (benchmark ``codec``).
FILM_COST = 1.2
COUNT = len(QUALITIES)


@dataclass(frozen=True)
class Run:
    """One codec of the study.

    Args:
        name: of its folder.
        plan: how it is trained.
        scale: factor of the networks' width.
    """

    name: str
    plan: Plan
    scale: int = 1


def runs_of(steps: int, seed: int, pictures: Path | None) -> list[Run]:
    """Five fixed codecs of so many steps each, and codecs with a knob of the same processor time, in total and each."""
    lambdas = [LOW * (HIGH / LOW) ** (quality / 100) for quality in QUALITIES]
    same, total = round(steps / FILM_COST), round(COUNT * steps / FILM_COST)

    def plan(low: float, high: float, count: int, film: bool = True) -> Plan:
        return Plan(low, high, steps=count, seed=seed, film=film, pictures=pictures)

    return [
        Run("knob-total", plan(LOW, HIGH, total)),
        *(Run(f"fixed-{place}", plan(value, value, steps)) for place, value in enumerate(lambdas)),
        Run("knob-each", plan(LOW, HIGH, same)),
        Run("without-film", plan(LOW, HIGH, steps, film=False)),
        Run("knob-each-double", plan(LOW, HIGH, same), scale=2),
    ]


def lagrangian(point: Point, value: float) -> float:
    """Bits per pixel and lambda times the squared error of bytes, by the mean PSNR."""
    return point.bpp + value * 255.0**2 * 10 ** (-point.psnr / 10)


def _trained(run: Run, config: dict[str, Any], out: Path) -> Codec:
    folder = out / run.name
    if not (folder / "config.json").exists():
        scaled = {**config, "N": run.scale * config["N"], "M": run.scale * config["M"]}
        begun = (folder / "run" / CHECKPOINT).exists()
        train_codec(scaled, folder / "run", run.plan, resume=begun).save_pretrained(folder)
    return Codec.from_pretrained(folder)


def _curves(codecs: dict[str, Codec]) -> dict[str, list[Point]]:
    pictures = photographs(UNSEEN)
    fixed: dict[float, Coder] = {
        quality: partial(_coded, codecs[f"fixed-{place}"], None) for place, quality in enumerate(QUALITIES)
    }
    curves = {"fixed": curve_of(fixed, pictures)}
    for name, codec in codecs.items():
        if not name.startswith("fixed-"):
            knobs = QUALITIES if codec.knobs() else (50.0,)
            settings: dict[float, Coder] = {
                each: partial(_coded, codec, each if codec.knobs() else None) for each in knobs
            }
            curves[name] = curve_of(settings, pictures)
    for kind, qualities in PILLOW.items():
        curves[kind] = curve_of({float(each): of_pillow(kind, each) for each in qualities}, pictures)
    return curves


def _report(curves: dict[str, list[Point]]) -> None:
    for name, points in curves.items():
        for point in points:
            click.echo(f"{name:16} {point.setting:5g} {point.bpp:7.3f} bpp {point.psnr:6.2f} dB {point.ms_ssim:7.4f}")
    for name, points in curves.items():
        if name != "fixed" and name not in PILLOW:
            click.echo(f"{name:16} J over that of fixed: {_gains(points, curves['fixed'])}; {_bd(points, curves)}")


def _gains(points: list[Point], fixed: list[Point]) -> str:
    """At each lambda, in percent; a codec without a knob has one point for all."""
    found = []
    for place, quality in enumerate(QUALITIES):
        value = LOW * (HIGH / LOW) ** (quality / 100)
        ours = lagrangian(points[min(place, len(points) - 1)], value)
        found.append(f"{100 * (ours / lagrangian(fixed[place], value) - 1):+.1f}")
    return " ".join(found) + " %"


def _bd(points: list[Point], curves: dict[str, list[Point]]) -> str:
    if len(points) == 1:
        return "no curve, as it has one quality"
    ours = [(point.bpp, point.psnr) for point in points]
    found = []
    for name in ("fixed", *PILLOW):
        try:
            rate = bd_rate([(point.bpp, point.psnr) for point in curves[name]], ours)
            found.append(f"{name} {rate:+.1f} %")
        except InputError as error:
            found.append(f"{name}: {error}")
    return "BD-rate against " + ", ".join(found)


@click.command(cls=Sentences)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--architecture", default="lapped-hyperprior", show_default=True)
@click.option("--width", default=64, show_default=True, help="Channels of the convolutions.")
@click.option("--latent", default=96, show_default=True, help="Channels of the latents.")
@click.option("--steps", default=4000, show_default=True, help="Of each fixed codec.")
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="A folder to train on as well.")
@click.option("--seed", default=0, show_default=True)
@click.option("--without", multiple=True, help="Leave out a run, such as knob-each-double.")
def main(out: Path, architecture: str, width: int, latent: int, **options: Any) -> None:
    """Train, compare, print the table, and write the curves to OUT/study.json."""
    config = {"architecture": architecture, "N": width, "M": latent}
    runs = runs_of(options["steps"], options["seed"], options["pictures"])
    codecs = {run.name: _trained(run, config, out) for run in runs if run.name not in options["without"]}
    curves = _curves(codecs)
    _report(curves)
    content = {name: [asdict(point) for point in points] for name, points in curves.items()}
    (out / "study.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
