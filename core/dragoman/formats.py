"""Formats: how a fusion is written to a folder and read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dragoman.errors import PackageError, PluginError
from dragoman.plugins import zoo
from dragoman.stores import Location

if TYPE_CHECKING:
    import torch

    from dragoman.fusion import Fusion

__all__ = ["Format", "default_format", "format_of"]


class Format(Protocol):
    """What a format's class offers; it is made without arguments."""

    def reads(self, folder: Path) -> bool:
        """Whether the folder is written in this format; cheap."""
        ...

    def describe(self, folder: Path) -> dict[str, Any]:
        """What the manifest says of a package, for people and JSON-ready: parts, ports, parameters, recipe.

        Neither weights nor torch are touched.

        Raises:
            PackageError: the manifest cannot be read, or is of a newer format.
        """
        ...

    def load(self, location: Location, *, device: str | torch.device | None = None) -> Fusion:
        """Read a fusion.

        Raises:
            PackageError: the package is damaged or of a newer format.
            PluginError: it needs a plugin that is not installed.
        """
        ...

    def save(self, fusion: Fusion, folder: Path) -> None:
        """Write a fusion; what stands in the folder is replaced only when everything is written."""
        ...


def format_of(location: Location) -> Format:
    """The installed format that reads a folder.

    Raises:
        PackageError: none does.
    """
    formats = _installed()
    for candidate in formats:
        if candidate.reads(location.folder):
            return candidate
    raise PackageError(f"{location.address} is no model package: {location.folder} holds no manifest (config.json).")


def default_format() -> Format:
    """The format in which fusions are saved.

    Raises:
        PluginError: no plugin offers a format.
    """
    formats = _installed()
    if not formats:
        raise PluginError("No installed plugin can write model packages; is the registry disabled?")
    return formats[0]


def _installed() -> list[Format]:
    return [offer.card.load()() for offer in zoo().formats.offers]
