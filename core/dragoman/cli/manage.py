"""``dragoman install | uninstall | enable | disable``: what is in the zoo. None of them imports a plugin."""

from __future__ import annotations

from pathlib import Path

import click

from dragoman.errors import InputError, PluginError
from dragoman.switches import VARIABLE, disabled_by, normal, switch

__all__ = ["disable", "enable", "install", "uninstall"]


@click.command()
@click.argument("plugins", nargs=-1, metavar="[NAME|PATH|URL]...")
@click.option(
    "-r",
    "--requirement",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="File with a list.",
)
@click.option("-U", "--upgrade", is_flag=True, help="Take the newest version of what is installed already.")
@click.option("-e", "--editable", is_flag=True, help="Install folders so that changes in them count at once.")
def install(plugins: tuple[str, ...], files: tuple[str, ...], upgrade: bool, editable: bool) -> None:
    """Install plugins into the environment that Dragoman is in, by the installer that made it (pip or uv).

    A plugin is a distribution by its name on the package index, a folder, a wheel, or an address that pip knows. Its
    code will run in your name: install what you would also `pip install`.

    \b
    dragoman install dragoman-bert
    dragoman install ./my-plugin
    dragoman plugins freeze > plugins.txt; dragoman install -r plugins.txt
    """
    from dragoman.installed import installed
    from dragoman.installer import keeping_hint, run_installer

    if not plugins and not files:
        raise InputError("Name what to install, or a list of it with -r FILE.")
    before = set(installed())
    targets = [_target(plugin) for plugin in plugins]
    arguments = [part for target in targets for part in (["-e", target] if editable else [target])]
    arguments += [part for file in files for part in ("-r", file)]
    run_installer("install", [*(["--upgrade"] if upgrade else []), *arguments])
    came = set(installed()) - before
    names = ", ".join(sorted({f"{entry.distribution} {entry.version}" for entry in came}))
    news = f"Installed {names}" if came else "Installed, but no plugin came or changed by it"
    click.echo(f"{news}; `dragoman plugins` shows what there is.", err=True)
    for entry in came:
        if by := disabled_by(entry.name, entry.distribution):
            click.echo(f"{entry.name} is switched off by {by}; `dragoman enable {entry.name}` undoes it.", err=True)
    if hint := keeping_hint(plugins):
        click.echo(hint, err=True)


@click.command()
@click.argument("plugins", nargs=-1, required=True, metavar="NAME...")
def uninstall(plugins: tuple[str, ...]) -> None:
    """Take plugins out of the environment, by the names of the plugins or of their distributions.

    It works whatever state they are in.
    """
    from dragoman.installed import OWN, find_plugin
    from dragoman.installer import run_installer

    if any(normal(plugin) == OWN for plugin in plugins):
        raise PluginError("Dragoman is no plugin of its own; use the installer that brought it.")
    run_installer("uninstall", sorted({find_plugin(plugin).distribution for plugin in plugins}))


@click.command()
@click.argument("plugins", nargs=-1, required=True, metavar="NAME...")
def disable(plugins: tuple[str, ...]) -> None:
    """Switch plugins off in this environment: they are not even imported until they are enabled again."""
    from dragoman.installed import find_plugin

    for plugin in plugins:
        entry = find_plugin(plugin)
        switch(plugin, on=False)
        click.echo(f"{plugin} of {entry.distribution} is switched off.", err=True)


@click.command()
@click.argument("plugins", nargs=-1, required=True, metavar="NAME...")
def enable(plugins: tuple[str, ...]) -> None:
    """Switch plugins on again that `dragoman disable` switched off."""
    from dragoman.installed import find_plugin

    for plugin in plugins:
        entry = find_plugin(plugin)
        switch(entry.name, on=True)
        switch(entry.distribution, on=True)
        if disabled_by(entry.name, entry.distribution) == VARIABLE:
            click.echo(f"{VARIABLE} still names {plugin}.", err=True)
        else:
            click.echo(f"{plugin} of {entry.distribution} is switched on.", err=True)


def _target(plugin: str) -> str:
    """What an installer takes for a name, a folder or an address.

    Raises:
        InputError: it would be an option of the installer.
    """
    if plugin.startswith("-"):
        raise InputError(f"{plugin!r} is no plugin but an option.")
    path = Path(plugin).expanduser()
    return str(path.resolve()) if path.exists() and ("/" in plugin or "\\" in plugin or plugin == ".") else plugin
