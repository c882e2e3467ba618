"""``dragoman plugins``: what is installed, in which state; ``plugins freeze``: the same for an installer."""

from __future__ import annotations

import dataclasses

import click

from dragoman.cli.listing import as_json_option, echo_json, echo_table
from dragoman.inspection import inspect

__all__ = ["plugins"]


@click.group(invoke_without_command=True)
@as_json_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins: their distribution, their state, and what they offer or why they do not.

    States are ok, disabled (by `dragoman disable` or DRAGOMAN_DISABLE), broken, incompatible (with this version of
    Dragoman), and conflict (another plugin offers the same name; both stay usable by qualified names).
    """
    if ctx.invoked_subcommand:
        return
    found = inspect()
    rows = [
        (plugin.name, plugin.distribution, plugin.version, plugin.state, plugin.reason or ", ".join(plugin.offers))
        for plugin in found
    ]
    if as_json:
        echo_json([dataclasses.asdict(plugin) for plugin in found])
    else:
        echo_table(("plugin", "distribution", "version", "state", "offers or reason"), rows)


@plugins.command()
def freeze() -> None:
    """Write the installed plugins as requirements, for `dragoman install -r FILE`. No plugin is imported."""
    from dragoman.installed import frozen

    for line in frozen():
        click.echo(line)
