"""``dragoman experts | translators | critics | methods``: what is offered, from the cards alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import click

from dragoman.cards import Card
from dragoman.catalogue import Catalogue, Offer
from dragoman.cli.group import COMMAND_GROUP, LazyGroup
from dragoman.cli.table import table
from dragoman.plugins import zoo
from dragoman.ports import MODALITIES

__all__ = ["as_json_option", "critics", "describe", "echo_json", "echo_table", "experts", "methods", "translators"]

as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, with everything that is known.")


def echo_json(data: Any) -> None:
    """Write data to stdout as JSON."""
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def describe(offer: Offer[Any]) -> dict[str, Any]:
    """Everything on a card, and who offers it, JSON-ready."""
    origin = {"distribution": offer.plugin.distribution, "version": offer.plugin.version}
    return dataclasses.asdict(offer.card) | {"qualified_name": offer.qualified_name} | origin


def _listing(
    kind: str,
    summary: str,
    columns: dict[str, Callable[[Any], str]],
    filters: Sequence[click.Option] = (),
    keep: Callable[..., bool] = lambda card: True,
) -> click.Command:
    """A command that lists one catalogue of the zoo, or those cards that ``keep`` accepts given the filters.

    What distributions add to it is in ``dragoman.commands.KIND``.
    """

    @click.group(
        kind,
        cls=LazyGroup,
        own={},
        entries=f"{COMMAND_GROUP}.{kind}",
        help=summary,
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]...",
    )
    @as_json_option
    @click.pass_context
    def command(context: click.Context, /, as_json: bool, **wanted: Any) -> None:
        if context.invoked_subcommand is not None:
            return
        catalogue: Catalogue[Card] = getattr(zoo(), kind)
        kept = [(n, o) for n, o in zip(catalogue, catalogue.offers, strict=True) if keep(o.card, **wanted)]
        rows = [(name, *(cell(offer.card) for cell in columns.values())) for name, offer in kept]
        if as_json:
            echo_json([describe(offer) for _, offer in kept])
        else:
            echo_table((catalogue.kind, *columns), rows)
        _warn(catalogue)

    command.params += filters
    return command


def echo_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to stdout."""
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


def _has_port(card: Any, modality: str | None, port: str | None) -> bool:
    reads_or_renders = not modality or modality in card.reads or any(p.modality == modality for p in card.ports)
    return reads_or_renders and (not port or any(p.name == port for p in card.ports))


experts = _listing(
    "experts",
    "List frozen pretrained networks. Ports are the places at which one can be joined to another.",
    {
        "ports": _ports,
        "checkpoint": lambda card: card.repo or "-",
        "licence": lambda card: card.licence or "-",
        "summary": lambda card: card.summary,
    },
    [
        click.Option(
            ["--modality"], type=click.Choice([*MODALITIES]), help="Only those that read it, or have a port of it."
        ),
        click.Option(["--port"], help="Only those with a port of this name."),
    ],
    _has_port,
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
