"""``dragoman graph | route``: the zoo as a graph, and ways through it. They import nothing heavy until they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dragoman.errors import InputError

if TYPE_CHECKING:
    from dragoman_registry.graph import Graph
    from dragoman_registry.routes import Route

__all__ = ["graph", "route"]


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--installed/--hub", "installed", default=True, help="What is on this machine, or what is published.")
@click.option("--format", "form", type=click.Choice(["mermaid", "svg"]), help="[default: by the name of --out]")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; the terminal when omitted.")
def graph(models: tuple[str, ...], installed: bool, form: str | None, out: Path | None) -> None:
    """Draw the zoo: experts are nodes, and trained translators are edges between them.

    MODELs are further fusions to show, such as folders.
    """
    found = _installed(models) if installed else _published(models)
    form = form or ("svg" if out is not None and out.suffix.lower() == ".svg" else "mermaid")
    text = _drawn(found, form)
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    click.echo(out)


@click.command()
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="TO")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to save the route in, as one fusion.")
@click.option("--choose", type=click.IntRange(1), default=1, show_default=True, help="Which route is saved.")
def route(start: str, end: str, models: tuple[str, ...], out: Path | None, choose: int) -> None:
    """Find chains of trained translators that lead FROM one expert TO another.

    FROM is EXPERT[:PORT], or what an expert reads, such as text; TO is EXPERT[:PORT]. MODELs are further fusions to
    choose from. With --out, one route becomes a fusion like any other.

    \b
    dragoman route text biggan
    dragoman route bert biggan-fashion runs/mine/model --out runs/route
    """
    from dragoman_registry.installed import installed_packages
    from dragoman_registry.routes import find_routes

    found = find_routes(start, end, installed_packages(models))
    if not found:
        raise InputError(
            f"No chain of translators on this machine leads from {start} to {end}; `dragoman search --to {end}` looks"
            " on the Hub, and `dragoman fuse` trains one."
        )
    for number, entry in enumerate(found, start=1):
        click.echo(f"{number}. {entry}", err=out is not None)
    if out is not None:
        _save(found, choose, out)


def _save(found: list[Route], choose: int, out: Path) -> None:
    from dragoman_registry.routes import compose

    if choose > len(found):
        raise InputError(f"There are {len(found)} routes, so --choose cannot be {choose}.")
    compose(found[choose - 1]).save_pretrained(out)
    click.echo(out)


def _installed(models: tuple[str, ...]) -> Graph:
    from dragoman_registry.graph import graph_of_packages
    from dragoman_registry.installed import installed_packages

    return graph_of_packages(installed_packages(models))


def _published(models: tuple[str, ...]) -> Graph:
    from dragoman_registry.graph import graph_of_hub
    from dragoman_registry.search import Query, search

    if models:
        raise InputError("--hub shows what is published; leave out the models.")
    return graph_of_hub(search(Query(kind="fusion"), limit=1000))


def _drawn(found: Graph, form: str) -> str:
    if form == "svg":
        from dragoman_registry.drawing import svg

        return svg(found)
    from dragoman_registry.graph import mermaid

    return mermaid(found)
