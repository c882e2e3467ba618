"""Stores: where addresses lead. A store turns an address into a local folder; everything else reads folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from dragoman.errors import PackageError
from dragoman.plugins import zoo

__all__ = ["Bundle", "Location", "RemoteStore", "Store", "locate", "store_of"]


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


@runtime_checkable
class RemoteStore(Store, Protocol):
    """A store that is elsewhere: it can say what a model is without bringing it, and take one."""

    def describe(self, address: str, revision: str | None) -> dict[str, Any]:
        """What :meth:`dragoman.formats.Format.describe` says, with ``address`` and ``revision``; no weights move.

        Raises:
            PackageError: there is no such package, or it cannot be asked now.
        """
        ...

    def publish(self, folder: Path, address: str, **options: Any) -> str:
        """Publish the package in a folder; returns where people find it.

        Raises:
            DragomanError: it cannot be published as it is, or the store refuses.
        """
        ...


class Bundle:
    """Models that come with an installed distribution, as ``PREFIX/NAME``; a base for stores of plugins.

    Any other name with the prefix may be a repository on the Hub, and is left to others.

    Attributes:
        prefix: with the slash.
        models: the folder whose subfolders are the models.
    """

    prefix: ClassVar[str]
    models: ClassVar[Path]

    def accepts(self, address: str) -> bool:
        """Whether the address is one of these."""
        return address in self.addresses()

    def fetch(self, address: str, revision: str | None) -> Location:
        """The folder inside of the installed distribution."""
        return Location(address, self.models / address.removeprefix(self.prefix))

    def addresses(self) -> list[str]:
        """All of them."""
        return sorted(self.prefix + path.parent.name for path in self.models.glob("*/config.json"))


def locate(address: str | Path, revision: str | None = None) -> Location:
    """Ask the installed stores for an address: a folder, ``ns/name``, or ``ns/name@revision``.

    Raises:
        PackageError: no store accepts the address, or the one that does cannot deliver.
    """
    store, name, pinned = store_of(address)
    return store.fetch(name, revision or pinned or None)


def store_of(address: str | Path, *, remote: bool = False) -> tuple[Store, str, str]:
    """The installed store that accepts an address, and the address as name and revision (``""`` if it has none).

    Args:
        address: a folder, ``ns/name``, or ``ns/name@revision``.
        remote: ask only those where a model can be published.

    Raises:
        PackageError: none does.
    """
    name, pinned = _split(str(address))
    offers = sorted(zoo().stores.offers, key=lambda offer: offer.card.priority)
    for offer in offers:
        store: Store = offer.card.load()()
        if store.accepts(name) and (not remote or isinstance(store, RemoteStore)):
            return store, name, pinned
    asked = ", ".join(offer.card.name for offer in offers) or "none installed"
    raise PackageError(f"{str(address)!r} is neither a folder nor a known address (stores asked: {asked}).")


def _split(address: str) -> tuple[str, str]:
    # A folder may have "@" in its path; what exists is taken as it is written.
    if Path(address).expanduser().is_dir():
        return address, ""
    name, _, revision = address.partition("@")
    return name, revision
