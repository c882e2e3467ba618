"""Pairs of real images and captions: ``python -m dragoman_minizoo.real_pairs --side 16 --out DIR``.

The captioner says what it sees, in the words of the training vocabulary alone. Images of which it is not sure, or which
the published labels call something else, are left out: a model that is asked for a shirt shall not draw what may be
a coat. The folder is what ``pairs.folder`` of a recipe names.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click
from safetensors.torch import save_file

from dragoman.atomic import replacing
from dragoman.cli.group import Sentences
from dragoman.endpoint import load_expert
from dragoman.pairs.files import LATENTS, TABLE
from dragoman.training.seeding import generator_for
from dragoman_diffusion.lowres import shrink
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.data import Labelled, fashion_mnist

__all__ = ["caption", "write_pairs"]

FULL_SIDE = 32
#: Images that are measured at once.
CHUNK = 1024


@click.command(cls=Sentences)
@click.option("--side", type=click.Choice(["16", "32"]), default="32", show_default=True, help="Side of the images.")
@click.option("--count", type=click.IntRange(2), help="Of the first so many images.  [default: all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of wording and mentions.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the pairs.")
def main(side: str, count: int | None, seed: int, out: Path) -> None:
    """Caption the clear ones of Fashion-MNIST's training images."""
    train = fashion_mnist("train")
    write_pairs(Labelled(train.images[:count], train.labels[:count]), int(side), seed, out)
    click.echo(out)


def caption(data: Labelled, captioner: Captioner, seed: int) -> list[str]:
    """A sentence about each image, in training words; ``""`` where the captioner is not sure of the true class.

    Args:
        data: images and their true labels.
        captioner: looks at them.
        seed: of wording and mentions.
    """
    generator = generator_for(seed, "real captions")
    said: list[str] = []
    for part, labels in zip(data.images.split(CHUNK), data.labels.split(CHUNK), strict=True):
        images = part.float() / 255
        right = (captioner.see(images)[0] == labels).tolist()
        texts = captioner.encode(images, "caption", generator=generator)
        said += [str(text) if true else "" for text, true in zip(texts, right, strict=True)]
    return said


def write_pairs(data: Labelled, side: int, seed: int, folder: Path) -> None:
    """Write ``metadata.csv`` and ``latents.safetensors``, whose tensor holds the clear images, in half precision.

    Args:
        data: uint8 images of 32 pixels a side, and labels.
        side: of what is written; smaller images are made by an antialiasing filter.
        seed: of the captions.
        folder: where the files go.
    """
    captioner = load_expert("captioner-fashion")
    assert isinstance(captioner, Captioner)
    said = caption(data, captioner, seed)
    images = data.images[[row for row, text in enumerate(said) if text]].float() / 255
    images = images if side == FULL_SIDE else shrink(images, (side, side)).clamp(0, 1)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"latents": images.half().contiguous()}, folder / LATENTS)
    table = io.StringIO(newline="")
    csv.writer(table).writerows([["text"], *([text] for text in said if text)])
    with replacing(folder / TABLE) as file:
        file.write(table.getvalue().encode())


if __name__ == "__main__":
    main()
