"""``python -m dragoman_codec.benchmark``: rate-distortion curves and BD-rates on photographs that nobody trained on."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.errors import InputError
from dragoman_codec.bjontegaard import bd_rate
from dragoman_codec.drawing import svg
from dragoman_codec.evaluation import Coder, Point, curve_of, of_pillow
from dragoman_codec.expert import Codec
from dragoman_codec.photographs import UNSEEN, photographs, pictures_in

__all__ = ["main"]

QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
PILLOW = {"JPEG": (5, 10, 20, 40, 60, 80), "WebP": (0, 10, 30, 50, 75, 90)}


@click.command(cls=Sentences)
@click.argument("model")
@click.option("--fixed", multiple=True, help="Address of a codec of one quality; give one for each quality.")
@click.option("--pictures", type=_FOLDER, help="Photographs to compare on instead, as for choices of settings.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the curves, as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="File for a picture of them, as SVG.")
def main(model: str, fixed: tuple[str, ...], pictures: Path | None, out: Path | None, plot: Path | None) -> None:
    """Compare the codec MODEL over its knob with codecs of one quality, with JPEG and with WebP."""
    compared = pictures_in(pictures) if pictures else photographs(UNSEEN)
    codec = Codec.from_pretrained(model)
    curves = {"knob": curve_of({quality: partial(_coded, codec, quality) for quality in QUALITIES}, compared)}
    if fixed:
        single: dict[float, Coder] = {
            float(place): partial(_coded, Codec.from_pretrained(address), None) for place, address in enumerate(fixed)
        }
        curves["fixed"] = curve_of(single, compared)
    for kind, qualities in PILLOW.items():
        curves[kind] = curve_of({float(quality): of_pillow(kind, quality) for quality in qualities}, compared)
    _show(curves)
    if out:
        content = {name: [asdict(point) for point in points] for name, points in curves.items()}
        out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if plot:
        plot.write_text(svg(curves), encoding="utf-8")


def _coded(codec: Codec, quality: float | None, picture: Tensor) -> tuple[bytes, Tensor]:
    stream = codec.compress(picture, {} if quality is None else {"quality": quality})
    return stream, codec.decompress(stream)


def _show(curves: dict[str, list[Point]]) -> None:
    for name, points in curves.items():
        for point in points:
            click.echo(f"{name:6} {point.setting:6g} {point.bpp:7.3f} bpp {point.psnr:6.2f} dB {point.ms_ssim:7.4f}")
    ours = [(point.bpp, point.psnr) for point in curves["knob"]]
    for name, points in curves.items():
        if name != "knob":
            click.echo(_compared(name, ours, [(point.bpp, point.psnr) for point in points]))


def _compared(name: str, ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> str:
    try:
        return f"BD-rate of the knob against {name}: {bd_rate(theirs, ours):+.1f} %"
    except InputError as error:
        return f"BD-rate of the knob against {name}: {error}"


if __name__ == "__main__":
    main()
