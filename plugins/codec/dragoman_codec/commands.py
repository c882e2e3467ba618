"""``dragoman encode`` and ``dragoman decode``: pictures to bitstreams and back."""

from __future__ import annotations

from pathlib import Path

import click

from dragoman.knobs import read_knobs, split_knobs

__all__ = ["decode", "encode"]

#: The codec that comes with this distribution.
DEFAULT = "codec/mini"
_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--knob", "knobs", multiple=True, metavar="NAME=VALUE", help="quality=0 to 100, or lambda=NUMBER.")
@click.option("--model", default=DEFAULT, show_default=True, help="Address of a codec.")
@click.option("--device", help="Where the network computes.")
def encode(source: Path, out: Path, knobs: tuple[str, ...], model: str, device: str | None) -> None:
    """Encode the picture IN as the stream OUT.

    \b
    dragoman encode photo.png photo.drg --knob quality=30
    dragoman decode photo.drg again.png
    """
    from dragoman_codec.expert import Codec
    from dragoman_codec.pictures import read_picture

    pairs = split_knobs(knobs)
    picture = read_picture(source)
    codec = Codec.from_pretrained(model, device=_checked(device))
    stream = codec.compress(picture, read_knobs(pairs, codec.knobs(), model))
    _write(out, stream)
    bits = 8 * len(stream) / (picture.shape[1] * picture.shape[2])
    click.echo(f"{out}: {len(stream)} bytes, {bits:.3f} bits per pixel")


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--model", default=DEFAULT, show_default=True, help="Address of the codec that encoded it.")
@click.option("--device", help="Where the network computes.")
def decode(source: Path, out: Path, model: str, device: str | None) -> None:
    """Decode the stream IN into the PNG file OUT."""
    from dragoman.errors import InputError
    from dragoman.images import save_png, to_pil
    from dragoman_codec.expert import Codec

    try:
        stream = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.") from error
    picture = Codec.from_pretrained(model, device=_checked(device)).decompress(stream)
    save_png(to_pil(picture.float() / 255), out)
    click.echo(f"{out}: {picture.shape[2]} x {picture.shape[1]} pixels")


def _checked(device: str | None) -> str | None:
    from dragoman.cli.sample import check_device

    if device is not None:
        check_device(device)
    return device


def _write(path: Path, content: bytes) -> None:
    from dragoman.atomic import replacing
    from dragoman.errors import InputError

    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
