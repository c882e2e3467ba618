"""``dragoman show``: one offer of the zoo, or one package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dragoman.catalogue import Offer
from dragoman.cli.listing import as_json_option, describe, echo_json
from dragoman.cli.table import nested
from dragoman.errors import PluginError, UnknownNameError
from dragoman.plugins import zoo

__all__ = ["show"]


@click.command()
@click.argument("name")
@click.option("--tensors", is_flag=True, help="Also list the tensors of a package: name, type and shape.")
@as_json_option
def show(name: str, tensors: bool, as_json: bool) -> None:
    """Show what is offered under NAME, or what the package at NAME holds.

    NAME is a name of a listing (bert), one with its distribution (dragoman-bert/bert) or its kind (expert:bert),
    a folder, or the address of a model. Of a model elsewhere, no weights are downloaded.
    """
    data = _package(name) if Path(name).is_dir() else _card_or_package(name)
    if not tensors:
        data.pop("tensor_table", None)
    if as_json:
        echo_json(data)
    else:
        # A package is a stranger's text, and a terminal obeys control characters.
        click.echo("\n".join("".join(c if c.isprintable() else "?" for c in line) for line in nested(data)))


def _card_or_package(name: str) -> dict[str, Any]:
    try:
        return _card(name)
    except UnknownNameError:
        if "/" not in name:
            raise
        return _package(name)


def _card(name: str) -> dict[str, Any]:
    """The card of that name.

    Raises:
        UnknownNameError: nobody offers it.
        PluginError: several offer it, of one kind or of several.
    """
    wanted, _, bare = name.rpartition(":")
    found = _find(wanted, bare)
    if not found:
        raise UnknownNameError(_unknown(name))
    if len(found) > 1:
        ways = " or ".join(repr(f"{kind}:{bare}") for kind in found)
        raise PluginError(f"{name!r} is the name of more than one thing; write {ways}.")
    kind, offer = found.popitem()
    return {"kind": kind} | describe(offer)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [known for catalogue in zoo().catalogues for known in catalogue])
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "; `dragoman plugins` lists what is."
    return f"Nothing installed is called {name!r}, and it is no folder{hint}"


def _find(wanted: str, name: str) -> dict[str, Offer[Any]]:
    found = {}
    for catalogue in zoo().catalogues:
        if wanted in ("", catalogue.kind):
            try:
                found[catalogue.kind] = catalogue.find(name)
            except UnknownNameError:
                continue
    return found


def _package(address: str) -> dict[str, Any]:
    from dragoman.formats import format_of
    from dragoman.stores import Location, RemoteStore, store_of

    folder = Path(address)
    if folder.is_dir():
        location = Location(address, folder)
    else:
        store, name, revision = store_of(address)
        if isinstance(store, RemoteStore):
            return store.describe(name, revision or None)
        location = store.fetch(name, revision or None)
    return {"address": location.address, "revision": location.revision} | format_of(location).describe(location.folder)
