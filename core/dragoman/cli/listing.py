"""``dragoman plugins | experts | translators | critics | methods``: what is installed, from the cards alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import click

from dragoman.cards import Card
from dragoman.catalogue import Catalogue, Offer
from dragoman.cli.table import table
from dragoman.plugins import zoo

__all__ = ["critics", "describe", "echo_json", "experts", "methods", "plugins", "translators"]

as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, with everything that is known.")


def echo_json(data: Any) -> None:
    """Write data to stdout as JSON."""
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def describe(offer: Offer[Any]) -> dict[str, Any]:
    """Everything on a card, and who offers it, JSON-ready."""
    origin = {"distribution": offer.plugin.distribution, "version": offer.plugin.version}
    return dataclasses.asdict(offer.card) | {"qualified_name": offer.qualified_name} | origin


@click.command()
@as_json_option
def plugins(as_json: bool) -> None:
    """List the installed plugins: their distribution, their state, and what they offer or why they do not.

    States are ok, disabled (by DRAGOMAN_DISABLE), broken, incompatible, and conflict (another plugin offers the same
    name; both stay usable by qualified names).
    """
    found = zoo().plugins
    rows = [
        (plugin.name, plugin.distribution, plugin.version, plugin.state, plugin.reason or ", ".join(plugin.offers))
        for plugin in found
    ]
    if as_json:
        echo_json([dataclasses.asdict(plugin) for plugin in found])
    else:
        _echo_table(("plugin", "distribution", "version", "state", "offers or reason"), rows)


def _listing(kind: str, summary: str, columns: dict[str, Callable[[Any], str]]) -> click.Command:
    """A command that lists one catalogue of the zoo."""

    @click.command(kind, help=summary)
    @as_json_option
    def command(as_json: bool) -> None:
        catalogue: Catalogue[Card] = getattr(zoo(), kind)
        rows = [
            (name, *(cell(offer.card) for cell in columns.values()))
            for name, offer in zip(catalogue, catalogue.offers, strict=True)
        ]
        if as_json:
            echo_json([describe(offer) for offer in catalogue.offers])
        else:
            _echo_table((catalogue.kind, *columns), rows)
        _warn(catalogue)

    return command


def _echo_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in table(headers, rows):
        click.echo(line)


def _warn(catalogue: Catalogue[Card]) -> None:
    for name, offers in catalogue.conflicts().items():
        click.echo(catalogue.describe_conflict(name, offers), err=True)
    for plugin in zoo().plugins:
        if plugin.state in ("broken", "incompatible"):
            click.echo(f"Plugin {plugin.name!r} of {plugin.distribution} is {plugin.state}: {plugin.reason}", err=True)


def _joined(attribute: str) -> Callable[[Any], str]:
    return lambda card: ", ".join(map(str, getattr(card, attribute))) or "-"


def _ports(card: Any) -> str:
    return ", ".join(port.name for port in card.ports) or "-"


experts = _listing(
    "experts",
    "List frozen pretrained networks. Ports are the places at which one can be joined to another.",
    {
        "ports": _ports,
        "checkpoint": lambda card: card.repo or "-",
        "licence": lambda card: card.licence or "-",
        "summary": lambda card: card.summary,
    },
)
translators = _listing(
    "translators",
    "List translators: trained networks that carry one expert's representation into another expert's space.",
    {"takes": _joined("takes"), "gives": _joined("gives"), "summary": lambda card: card.summary},
)
critics = _listing(
    "critics",
    "List critics: judges of outputs, for training, ranking and evaluation.",
    {"judges": lambda card: card.judges, "losses": _joined("losses"), "summary": lambda card: card.summary},
)
methods = _listing(
    "methods",
    "List methods: what is learned, from which data, by which losses.",
    {"losses": _joined("losses"), "summary": lambda card: card.summary},
)
