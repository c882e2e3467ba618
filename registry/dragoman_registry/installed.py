"""The packages that are on this machine: in stores that can list theirs, and pulled from the Hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dragoman.errors import DragomanError
from dragoman.plugins import zoo
from dragoman.stores import locate
from dragoman_registry.format import is_package
from dragoman_registry.manifest import Manifest, read_manifest

__all__ = ["Lister", "Package", "installed_packages", "package_at"]


@dataclass(frozen=True)
class Package:
    """A fusion that is on this machine.

    Attributes:
        address: to load it from.
        manifest: what it says of itself.
    """

    address: str
    manifest: Manifest


@runtime_checkable
class Lister(Protocol):
    """A store that can say which of its models are here, without a network."""

    def addresses(self) -> Iterable[str]:
        """Addresses that it delivers from this machine."""
        ...


def installed_packages(also: Iterable[str] = ()) -> list[Package]:
    """Every fusion on this machine; a damaged one is left out.

    Args:
        also: addresses of further ones, such as folders, which have to be sound.

    Raises:
        PackageError: one of those is none.
    """
    given = [package_at(address) for address in also]
    return [*given, *_listed({package.address for package in given})]


def package_at(address: str) -> Package:
    """The package at an address.

    Raises:
        PackageError: there is none.
    """
    return Package(address, read_manifest(locate(address).folder))


def _listed(known: set[str]) -> Iterator[Package]:
    for offer in zoo().stores.offers:
        try:
            store = offer.card.load()()
            addresses = sorted(store.addresses()) if isinstance(store, Lister) else []
        except DragomanError:
            continue
        for address in addresses:
            if address not in known and (package := _sound(address)):
                known.add(address)
                yield package


def _sound(address: str) -> Package | None:
    try:
        location = locate(address)
        package = Package(address, read_manifest(location.folder)) if is_package(location.folder) else None
    except DragomanError:
        return None
    return package if package is not None and package.manifest.kind == "fusion" else None
