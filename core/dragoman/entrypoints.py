"""Entry points of the installed distributions, read straight from their metadata folders.

``importlib.metadata`` gives the same answer but imports 66 more modules (email, zipfile, csv), which is more time than
everything else that listing a zoo does, and more than the whole budget of ``dragoman --help``. A distribution is a
``*.dist-info`` or ``*.egg-info`` folder on ``sys.path``; those inside of zip files are not seen.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.switches import disabled_by, normal

__all__ = ["EntryPoint", "disabled", "entry_points"]


@dataclass(frozen=True)
class EntryPoint:
    """One line of a distribution's ``entry_points.txt``.

    Attributes:
        name: left of the equals sign.
        value: ``"module"`` or ``"module:attribute"``.
        distribution: name of the distribution, as its metadata spell it.
        version: its version.
        folder: where its metadata are, or ``""``.
    """

    name: str
    value: str
    distribution: str
    version: str
    folder: str = ""

    def metadata(self, name: str) -> str:
        """A file of the distribution's metadata (``"METADATA"``), or ``""``."""
        return _read(self.folder, name) if self.folder else ""

    def load(self) -> Any:
        """Import the module and return it, or the attribute of it that the value names."""
        from importlib import import_module

        module_name, _, attributes = self.value.partition("[")[0].strip().partition(":")
        loaded: Any = import_module(module_name)
        for attribute in filter(None, attributes.split(".")):
            loaded = getattr(loaded, attribute)
        return loaded


def entry_points(group: str, path: Sequence[str] | None = None) -> list[EntryPoint]:
    """The entry points of a group, by name and then by distribution.

    Args:
        group: such as ``"dragoman"``.
        path: folders to search instead of ``sys.path``. The first folder that holds a distribution wins, as it
            does for imports.
    """
    found: list[EntryPoint] = []
    for folder in _metadata_folders(sys.path if path is None else path):
        entries = [(name, value) for section, name, value in _entries(folder) if section == group]
        if entries:
            distribution, version = _identity(folder)
            found += [EntryPoint(name, value, distribution, version, folder) for name, value in entries]
    return sorted(found, key=lambda entry: (entry.name, entry.distribution))


def disabled(entry: EntryPoint) -> bool:
    """Whether the entry point or its distribution is switched off; see :mod:`dragoman.switches`."""
    return bool(disabled_by(entry.name, entry.distribution))


def _metadata_folders(path: Sequence[str]) -> Iterator[str]:
    seen = set()
    for root in path:
        try:
            names = sorted(os.listdir(root or "."))
        except OSError:  # a zip file, or a folder that is no longer there
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                key = normal(name.rpartition(".")[0].partition("-")[0])
                if key not in seen:
                    seen.add(key)
                    yield os.path.join(root, name)


def _entries(folder: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in map(str.strip, _read(folder, "entry_points.txt").splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield section, name.strip(), value.strip()


def _identity(folder: str) -> tuple[str, str]:
    headers = (_read(folder, "METADATA") or _read(folder, "PKG-INFO")).partition("\n\n")[0]
    fields = dict(re.findall(r"^(Name|Version):\s*(\S+)", headers, re.MULTILINE))
    return fields.get("Name", os.path.basename(folder)), fields.get("Version", "0")


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
