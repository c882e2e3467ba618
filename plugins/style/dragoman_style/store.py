"""The store of what is installed with this distribution."""

from __future__ import annotations

from pathlib import Path

from dragoman.errors import PackageError
from dragoman.stores import Location

__all__ = ["Bundle"]

MODELS = Path(__file__).with_name("models")
PREFIX = "style/"


class Bundle:
    """Addresses ``style/NAME``."""

    def accepts(self, address: str) -> bool:
        """Whether the address is one of these; any other ``style/NAME`` may be a repository on the Hub."""
        return address in self.addresses()

    def fetch(self, address: str, revision: str | None) -> Location:
        """The folder inside of the installed distribution.

        Raises:
            PackageError: there is no model of that name.
        """
        if address not in self.addresses():
            raise PackageError(f"{address!r} does not come with dragoman-style; it has {', '.join(self.addresses())}.")
        return Location(address, MODELS / address.removeprefix(PREFIX))

    def addresses(self) -> list[str]:
        """The models inside of this distribution."""
        found = [path.name for path in MODELS.iterdir() if (path / "config.json").is_file()] if MODELS.is_dir() else []
        return sorted(PREFIX + name for name in found)
