"""``python -m dragoman_codec.overhead``: the bytes of streams against their estimated rates.

The rate of a stream is that of its symbols, by their likelihoods under the network's own priors, and that of the rest
(kind, version, check sum, knob, sizes, check of the scales). What training and the literature count is the symbols'
rate alone; it is compared with the code of the symbols alone, and with the whole stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman_codec.benchmark import QUALITIES
from dragoman_codec.expert import Codec
from dragoman_codec.photographs import UNSEEN, photographs

__all__ = ["Lengths", "lengths", "tiles"]


def tiles(pictures: Sequence[Tensor], side: int) -> Iterator[Tensor]:
    """All squares of pictures ``[3, H, W]`` that do not overlap, from their upper left corners on."""
    for picture in pictures:
        for rows in picture.split(side, dim=1):
            for square in rows.split(side, dim=2):
                if square.shape[1:] == (side, side):
                    yield square


class Lengths(NamedTuple):
    """Bytes of a picture.

    Attributes:
        stream: of its stream.
        estimate: of that stream.
        symbols: of the code of its symbols alone.
        symbols_estimate: of that code.
    """

    stream: int
    estimate: float
    symbols: int
    symbols_estimate: float


def lengths(codec: Codec, picture: Tensor, quality: float) -> Lengths:
    """Actual and estimated bytes of a picture."""
    fixed = codec.at({"quality": quality} if codec.knobs() else {})
    return Lengths(
        len(fixed.compress(picture)),
        fixed.estimated_bits(picture) / 8,
        len(fixed.symbols_alone(picture)),
        fixed.symbol_bits(picture) / 8,
    )


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


def _summary(found: list[Lengths]) -> str:
    sizes = [one.stream for one in found]
    pairs = {
        "streams": [(one.stream, one.estimate) for one in found],
        "symbols alone": [(one.symbols, one.symbols_estimate) for one in found],
        "streams against symbols": [(one.stream, one.symbols_estimate) for one in found],
    }
    said = "; ".join(f"{name}: {_apart(pair)}" for name, pair in pairs.items())
    return f"{len(found)} of {min(sizes)} to {max(sizes)} bytes; {said}"


def _apart(found: list[tuple[int, float]]) -> str:
    more = [length - estimate for length, estimate in found]
    share = [100 * (length / estimate - 1) for length, estimate in found]
    within = sum(abs(one) <= 1 for one in share)
    return f"{min(more):+.1f} to {max(more):+.1f} bytes, {min(share):+.2f} to {max(share):+.2f} %, {within} within 1 %"


if __name__ == "__main__":
    main()
