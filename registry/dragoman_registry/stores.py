"""Where models are found: local folders, and the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dragoman import __version__
from dragoman.errors import PackageError
from dragoman.stores import Location
from dragoman_registry import patterns
from dragoman_registry.atomic import recover

__all__ = ["FolderStore", "HubStore", "is_path"]

#: The kinds of files that hold data and nothing that runs.
SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
#: Weights of repositories that have no safetensors; experts read them without unpickling objects.
PICKLED_WEIGHTS = ("pytorch_model.bin", "*/pytorch_model.bin")


def is_path(address: str) -> bool:
    """Whether an address is written as a path (``./x``, ``../x``, ``~/x``, ``/x``) or names an existing folder."""
    if address in (".", "..", "~") or address.startswith(("./", "../", "~/")) or os.path.isabs(address):
        return True
    return bool(address) and Path(address).is_dir()


class FolderStore:
    """Models in local folders."""

    def accepts(self, address: str) -> bool:
        """Whether the address is a path."""
        return is_path(address)

    def fetch(self, address: str, revision: str | None) -> Location:
        """The folder itself.

        Raises:
            PackageError: it does not exist, or a revision was asked for.
        """
        folder = Path(address).expanduser()
        recover(folder)
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "does not exist"
            raise PackageError(f"The folder {address} {what}; give the folder that holds the model's config.json.")
        if revision is not None:
            raise PackageError(f"{address} is a local folder and has no revisions; leave out {revision!r}.")
        return Location(address, folder)


class HubStore:
    """Models on the Hugging Face Hub, in its own cache, with its own variables (HF_HOME, HF_ENDPOINT, HF_TOKEN)."""

    def accepts(self, address: str) -> bool:
        """Whether the address has the form ``NAMESPACE/NAME``."""
        return patterns.is_hub_id(address)

    def fetch(self, address: str, revision: str | None) -> Location:
        """Download what is not in the cache yet: data files only, all of one commit.

        Raises:
            PackageError: there is no such repository or revision, or the Hub cannot be reached.
        """
        try:
            folder = _snapshot(address, revision, SAFE_FILES)
            commit = folder.name
            if not re.fullmatch(patterns.REVISION, commit):
                raise PackageError(f"The Hub answered for {address} with {commit[:80]!r}, which is no commit.")
            if not any(folder.rglob("*.safetensors")):
                _snapshot(address, commit, (*SAFE_FILES, *PICKLED_WEIGHTS))
        except PackageError:
            raise
        except Exception as error:
            raise PackageError(_sentence(address, revision, error)) from error
        return Location(address, folder, commit)


def _snapshot(address: str, revision: str | None, patterns_allowed: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            address,
            revision=revision,
            allow_patterns=list(patterns_allowed),
            library_name="dragoman",
            library_version=__version__,
        )
    )


def _sentence(address: str, revision: str | None, error: Exception) -> str:
    """What went wrong at the Hub, and what to do about it."""
    from huggingface_hub import constants, errors

    at = f"{address}@{revision}" if revision else address
    if isinstance(error, errors.GatedRepoError):
        return f"{address} is gated: accept its conditions on its page at {constants.ENDPOINT}, then run: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{address} has no revision {revision!r} on the Hub; leave it out for the newest."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{constants.ENDPOINT} has no model {address}, or not for you; check the name, or run: hf auth login"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _unreachable(at, constants.HF_HUB_OFFLINE, constants.ENDPOINT)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{at} cannot be written to the cache {constants.HF_HUB_CACHE}: {error.strerror}."
    return f"{at} cannot be fetched from {constants.ENDPOINT}: {' '.join(str(error).split()) or type(error).__name__}."


def _unreachable(at: str, offline: bool, endpoint: str) -> str:
    why = "HF_HUB_OFFLINE is set; unset it" if offline else f"{endpoint} cannot be reached; check the network"
    return f"{at} is not complete in the local cache, and {why} to download it."
