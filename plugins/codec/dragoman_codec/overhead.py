"""``python -m dragoman_codec.overhead``: the bytes of streams against the rate that training counts.

The estimate is that of the literature: the likelihoods of the rounded symbols under the network's own priors, and
nothing else. The literature compares it with the code of these symbols. A stream holds more (kind, version, check sum,
knob, sizes, check of the scales), and is compared with it whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman_codec.benchmark import QUALITIES
from dragoman_codec.expert import Codec
from dragoman_codec.photographs import UNSEEN, photographs

__all__ = ["lengths", "tiles"]


def tiles(pictures: Sequence[Tensor], side: int) -> Iterator[Tensor]:
    """All squares of pictures ``[3, H, W]`` that do not overlap, from their upper left corners on."""
    for picture in pictures:
        for rows in picture.split(side, dim=1):
            for square in rows.split(side, dim=2):
                if square.shape[1:] == (side, side):
                    yield square


def lengths(codec: Codec, picture: Tensor, quality: float) -> tuple[int, int, float]:
    """Bytes of a picture's stream, of the code of its symbols, and of the estimated rate."""
    fixed = codec.at({"quality": quality} if codec.knobs() else {})
    return len(fixed.compress(picture)), len(fixed.symbols_alone(picture)), fixed.estimated_bits(picture) / 8


@click.command(cls=Sentences)
@click.argument("model", default="codec/mini")
@click.option("--side", default=256, show_default=True, help="Of the tiles.")
def main(model: str, side: int) -> None:
    """Measure the codec MODEL on the unseen photographs, whole and in tiles."""
    codec = Codec.from_pretrained(model)
    whole = photographs(UNSEEN)
    for name, pictures in (("whole", whole), (f"{side} x {side}", list(tiles(whole, side)))):
        for quality in QUALITIES:
            click.echo(f"{name:9} quality {quality:3g}: {_summary([lengths(codec, one, quality) for one in pictures])}")


def _summary(found: list[tuple[int, int, float]]) -> str:
    sizes = [stream for stream, _, _ in found]
    streams = _apart([(stream, estimate) for stream, _, estimate in found])
    symbols = _apart([(code, estimate) for _, code, estimate in found])
    return f"{len(found)} streams of {min(sizes)} to {max(sizes)} bytes: {streams}; symbols alone: {symbols}"


def _apart(found: list[tuple[int, float]]) -> str:
    more = [length - estimate for length, estimate in found]
    share = [100 * (length / estimate - 1) for length, estimate in found]
    within = sum(abs(one) <= 1 for one in share)
    return f"{min(more):+.1f} to {max(more):+.1f} bytes, {min(share):+.2f} to {max(share):+.2f} %, {within} within 1 %"


if __name__ == "__main__":
    main()
