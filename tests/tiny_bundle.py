"""A plugin for tests: a store whose models come with it, as ``bundle/NAME``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dragoman import StoreCard, hookimpl
from dragoman.stores import Location

PREFIX = "bundle/"


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    register(StoreCard("bundle", "tiny_bundle:Bundle", "Models of this plugin", priority=20))


class Bundle:
    """Any folder there is, by a name that is no path."""

    def accepts(self, address: str) -> bool:
        return address.startswith(PREFIX)

    def fetch(self, address: str, revision: str | None) -> Location:
        return Location(address, Path(address.removeprefix(PREFIX)))
