"""Stores: where addresses lead. A store turns an address into a local folder; everything else reads folders."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dragoman.errors import PackageError
from dragoman.plugins import zoo

__all__ = ["Location", "Store", "locate"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """Where a model was found.

    Attributes:
        address: what was asked for, without the revision (``"ns/name"`` or a folder).
        folder: the local folder that holds the files.
        revision: the 40-hex commit that the files belong to, or ``""`` where the store has none.
    """

    address: str
    folder: Path
    revision: str = ""


class Store(Protocol):
    """What a store's class offers; it is made without arguments."""

    def accepts(self, address: str) -> bool:
        """Whether this store is the one to ask for the address; cheap and without network."""
        ...

    def fetch(self, address: str, revision: str | None) -> Location:
        """Bring the files to a local folder.

        Raises:
            PackageError: there is no such model, or it cannot be had now.
        """
        ...


def locate(address: str | Path, revision: str | None = None) -> Location:
    """Ask the installed stores for an address: a folder, ``ns/name``, or ``ns/name@revision``.

    Raises:
        PackageError: no store accepts the address, or the one that does cannot deliver.
    """
    name, pinned = _split(str(address))
    offers = sorted(zoo().stores.offers, key=lambda offer: offer.card.priority)
    for offer in offers:
        store: Store = offer.card.load()()
        if store.accepts(name):
            return store.fetch(name, revision or pinned or None)
    asked = ", ".join(offer.card.name for offer in offers) or "none installed"
    raise PackageError(f"{str(address)!r} is neither a folder nor a known address (stores asked: {asked}).")


def _split(address: str) -> tuple[str, str]:
    # A folder may have "@" in its path; what exists is taken as it is written.
    if Path(address).expanduser().is_dir():
        return address, ""
    name, _, revision = address.partition("@")
    return name, revision
