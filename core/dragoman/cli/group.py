"""Commands whose errors are sentences, and a group that imports a command only when it is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from dragoman.entrypoints import EntryPoint, disabled, entry_points
from dragoman.errors import DragomanError, PluginError

__all__ = ["COMMAND_GROUP", "INTERRUPTED", "LazyGroup", "Sentences"]

#: Entry-point group whose values are click commands, ``name = "module:command"``.
COMMAND_GROUP = "dragoman.commands"
INTERRUPTED = 130


class Sentences(click.Command):
    """A command whose errors become sentences, here and nowhere else.

    A :class:`DragomanError` or an error of the operating system exits with 1 and no traceback, an interrupt with 130.
    With ``DRAGOMAN_DEBUG`` set, errors keep their traceback. The command of a module for ``python -m`` is
    ``@click.command(cls=Sentences)``.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and say in one sentence what went wrong."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # `dragoman experts | head -1`: click ends quietly
            raise
        except (DragomanError, OSError) as error:
            if os.environ.get("DRAGOMAN_DEBUG"):
                raise
            raise click.ClickException(str(error)) from error


class LazyGroup(Sentences, click.Group):
    """The commands of the core, and those that installed distributions add.

    Args:
        own: the core's commands by name, with their line of help. No plugin can take one of these names.
        entries: entry-point group of the commands that distributions add.
        **settings: of :class:`click.Group`.
    """

    def __init__(
        self, *, own: Mapping[str, tuple[EntryPoint, str]], entries: str = COMMAND_GROUP, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.own, self.entries = own, entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, the core's first."""
        return [*self.own, *self._added()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            PluginError: it does not load, or several distributions add one of that name.
        """
        if cmd_name in self.own:
            return _load(self.own[cmd_name][0])
        candidates = self._added().get(cmd_name, [])
        if len(candidates) > 1:
            who = " and ".join(f"{entry.distribution} {entry.version}" for entry in candidates)
            raise PluginError(f"The command {cmd_name!r} is added by {who}; disable or uninstall one of them.")
        return _load(candidates[0]) if candidates else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and lines of help; click's own version would import every command for its help."""
        if self.own:
            with formatter.section("Commands"):
                formatter.write_dl([(name, line) for name, (_, line) in self.own.items()])
        if added := self._added():
            with formatter.section("Commands of installed distributions"):
                formatter.write_dl([(name, _origin(entries)) for name, entries in added.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names without importing anything."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _added(self) -> dict[str, list[EntryPoint]]:
        added: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(self.entries):
            if entry.name not in self.own and not disabled(entry):
                added.setdefault(entry.name, []).append(entry)
        return added


def _origin(entries: list[EntryPoint]) -> str:
    return "from " + " and ".join(f"{entry.distribution} {entry.version}" for entry in entries)


def _load(entry: EntryPoint) -> click.Command:
    who = f"The command {entry.name!r} of {entry.distribution} {entry.version}"
    try:
        command = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: an import must not end the program without a word
        raise PluginError(f"{who} does not load: {type(error).__name__}: {error}.") from error
    if not isinstance(command, click.Command):
        raise PluginError(f"{who} is no click command but {command!r}.")
    return command
