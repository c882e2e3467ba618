"""The command ``dragoman cascade``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["cascade"]


@click.command()
@click.argument("stages", nargs=-1, required=True, metavar="ADDRESS[:STAGE]...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the package.")
def cascade(stages: tuple[str, ...], out: Path) -> None:
    """Join stages of diffusion packages to a cascade, or take one out; nothing is trained.

    Each ADDRESS is a folder or a Hub id. It stands for all stages of its package, or with :K for the one of that
    number, counted from 0. Smallest images first.

    \b
    dragoman cascade you/base their/super-resolution --out runs/joined
    dragoman cascade runs/joined:0 better/cascade:1 --out runs/exchanged
    dragoman cascade runs/joined:1 --out runs/stage
    """
    from dragoman_diffusion.joining import join

    join(stages).save_pretrained(out)
    click.echo(out)
