"""Plugins that are switched off: by ``DRAGOMAN_DISABLE`` for one process, or for good in this environment."""

from __future__ import annotations

import os
import re
import sys

from dragoman.errors import PluginError

__all__ = ["VARIABLE", "disabled_by", "normal", "switch", "switched_off"]

#: A list with commas, of plugins or their distributions.
VARIABLE = "DRAGOMAN_DISABLE"


def disabled_by(name: str, distribution: str) -> str:
    """What switches a plugin off: ``DRAGOMAN_DISABLE``, the command that did, or ``""`` if nothing does."""
    names = {normal(name), normal(distribution)}
    if names & {normal(listed) for listed in os.environ.get(VARIABLE, "").split(",")}:
        return VARIABLE
    return f"`dragoman disable {name}`" if names & switched_off() else ""


def switched_off() -> set[str]:
    """The names in this environment's list."""
    try:
        with open(_path(), encoding="utf-8") as file:
            return {normal(line) for line in file if line.strip()}
    except OSError:  # there is no list, which is the usual case
        return set()


def switch(name: str, *, on: bool) -> None:
    """Take a name off this environment's list, or put it there.

    Raises:
        PluginError: the environment cannot be written.
    """
    names = switched_off() - {normal(name)} if on else switched_off() | {normal(name)}
    path = _path()
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.writelines(f"{listed}\n" for listed in sorted(names))
        os.replace(f"{path}.new", path)
    except OSError as error:
        way_out = f"set {VARIABLE}={name} instead" if not on else "ask whoever owns the environment"
        raise PluginError(f"{path} cannot be written ({error.strerror}); {way_out}.") from error


def normal(name: str) -> str:
    """A name as names are compared: lower case, with hyphens."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _path() -> str:
    return os.path.join(sys.prefix, "etc", "dragoman", "disabled.txt")
