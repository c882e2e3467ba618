"""``python -m dragoman_codec.sheet``: parts of photographs as they are, coded, and as JPEGs of as many bytes."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.images import grid, save_png
from dragoman_codec.evaluation import of_pillow, psnr
from dragoman_codec.expert import Codec
from dragoman_codec.photographs import photographs

__all__ = ["nearest_jpeg"]

#: Photographs, and where their parts begin.
_PARTS = {"skimage/data/coffee.png": (60, 60), "skimage/data/chelsea.png": (40, 80)}
_HEIGHT, _WIDTH = 170, 213


def nearest_jpeg(picture: Tensor, size: int) -> tuple[bytes, Tensor]:
    """The JPEG whose length is nearest to so many bytes, and what a decoder makes of it."""
    made = (of_pillow("JPEG", quality)(picture) for quality in range(1, 96))
    return min(made, key=lambda pair: abs(len(pair[0]) - size))


@click.command(cls=Sentences)
@click.argument("model", default="codec/mini")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--quality", default=25.0, show_default=True, help="Of the codec.")
def main(model: str, out: Path, quality: float) -> None:
    """Write the PNG file OUT for the codec MODEL, and say how large and how good the whole pictures are."""
    codec = Codec.from_pretrained(model)
    shown = []
    for name, (top, left) in _PARTS.items():
        (picture,) = photographs((name,))
        stream = codec.compress(picture, {"quality": quality} if codec.knobs() else {})
        jpeg, again = nearest_jpeg(picture, len(stream))
        made = codec.decompress(stream)
        for kind, length, decoded in (("codec", len(stream), made), ("JPEG", len(jpeg), again)):
            click.echo(f"{name} {kind}: {length} bytes, {psnr(picture, decoded):.1f} dB")
        shown += [each[:, top : top + _HEIGHT, left : left + _WIDTH] for each in (picture, made, again)]
    save_png(grid(torch.stack(shown).float() / 255, columns=3), out)


if __name__ == "__main__":
    main()
