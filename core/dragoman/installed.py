"""Which distributions are plugins, from their metadata alone: no plugin is imported here."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dragoman.entrypoints import EntryPoint, entry_points
from dragoman.errors import UnknownNameError
from dragoman.plugins import ENTRY_POINT_GROUP
from dragoman.switches import normal

__all__ = ["OWN", "find_plugin", "frozen", "installed"]

#: The distribution that is no plugin of its own.
OWN = "dragoman"
GROUPS = (ENTRY_POINT_GROUP, "dragoman.commands")


def installed() -> list[EntryPoint]:
    """The entry points of all plugins but Dragoman's own."""
    return [entry for group in GROUPS for entry in entry_points(group) if normal(entry.distribution) != OWN]


def find_plugin(name: str) -> EntryPoint:
    """An entry point of the plugin that has this name, or whose distribution has it.

    Raises:
        UnknownNameError: there is none, or two distributions have plugins of this name.
    """
    wanted, known = normal(name), installed()
    by_distribution = [entry for entry in known if normal(entry.distribution) == wanted]
    found = by_distribution or [entry for entry in known if normal(entry.name) == wanted]
    distributions = sorted({entry.distribution for entry in found})
    if len(distributions) == 1:
        return found[0]
    if distributions:
        raise UnknownNameError(f"{name!r} is a plugin of {' and of '.join(distributions)}; name the distribution.")
    names = ", ".join(sorted({entry.distribution for entry in known})) or "none"
    raise UnknownNameError(f"No plugin {name!r} is installed; installed are: {names}.")


def frozen() -> Iterator[str]:
    """A line of requirement for each plugin's distribution, by name: a version, an address, or an editable folder."""
    by_name = {entry.distribution: entry for entry in installed()}
    for name in sorted(by_name, key=normal):
        yield _requirement(by_name[name])


def _requirement(entry: EntryPoint) -> str:
    try:
        origin = json.loads(entry.metadata("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    url = origin.get("url", "")
    if not url:
        return f"{entry.distribution}=={entry.version}"
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {url}"
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{entry.distribution} @ {url}"
