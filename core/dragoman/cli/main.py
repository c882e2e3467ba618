"""The command ``dragoman``: names of its subcommands, and where they live."""

from __future__ import annotations

import click

from dragoman._version import __version__
from dragoman.cli.group import LazyGroup
from dragoman.entrypoints import EntryPoint

__all__ = ["main"]

#: Name, target and one line of help. Nothing of it is imported before the command is run.
COMMANDS = [
    ("plugins", "dragoman.cli.plugins:plugins", "List the installed plugins, their state and what they offer."),
    ("install", "dragoman.cli.manage:install", "Install plugins into this environment."),
    ("uninstall", "dragoman.cli.manage:uninstall", "Take plugins out of this environment."),
    ("enable", "dragoman.cli.manage:enable", "Switch plugins on that were switched off."),
    ("disable", "dragoman.cli.manage:disable", "Switch plugins off, until they are enabled again."),
    ("new", "dragoman.cli.new:new", "Begin something of your own: a plugin."),
    ("experts", "dragoman.cli.listing:experts", "List frozen pretrained networks."),
    ("translators", "dragoman.cli.listing:translators", "List translators between representations."),
    ("critics", "dragoman.cli.listing:critics", "List judges of outputs."),
    ("methods", "dragoman.cli.listing:methods", "List ways to train."),
    ("show", "dragoman.cli.show:show", "Show what is offered under a name, or what a package holds."),
    ("fuse", "dragoman.cli.fuse:fuse", "Train a translator between two experts."),
    ("sample", "dragoman.cli.sample:sample", "Make pictures from prompts."),
]


@click.group(
    cls=LazyGroup,
    own={name: (EntryPoint(name, target, "dragoman", __version__), line) for name, target, line in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A zoo of frozen pretrained networks and of the small trained parts that let them work together."""
