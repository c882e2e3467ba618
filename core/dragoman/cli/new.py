"""``dragoman new``: a distribution of one's own, from a template that passes its own tests."""

from __future__ import annotations

from pathlib import Path

import click

from dragoman.scaffold import KINDS, render

__all__ = ["new"]


@click.group()
def new() -> None:
    """Begin something of your own."""


@new.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="expert", show_default=True, help="What it offers.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: dragoman-NAME]")
def plugin(name: str, kind: str, out: Path | None) -> None:
    """Write a plugin that offers something called NAME: its distribution, card, code, tests, README and CI.

    \b
    dragoman new plugin my-encoder
    dragoman install -e ./dragoman-my-encoder
    python -m pytest dragoman-my-encoder
    """
    folder = out or Path(f"dragoman-{name.removeprefix('dragoman-')}")
    for path in render(name, kind, folder):
        click.echo(path)
    click.echo(f"Next: dragoman install -e {folder.absolute()}, and python -m pytest in it.", err=True)
