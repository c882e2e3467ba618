"""Where models are found: local folders, and the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dragoman.errors import PackageError
from dragoman.stores import Location
from dragoman_registry.addresses import looks_like_hub, parse_hub_address
from dragoman_registry.atomic import recover

__all__ = ["FolderStore", "HubStore", "is_path"]


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
        """Whether the address has the form ``NAMESPACE/NAME``, or begins with ``hf://``."""
        return looks_like_hub(address)

    def fetch(self, address: str, revision: str | None) -> Location:
        """Download what is not in the cache yet, all of one commit, and verify it; see :mod:`.pulling`.

        Raises:
            PackageError: there is no such repository or revision, the Hub cannot be reached, or a file is not what
                it has to be.
        """
        from dragoman_registry.pulling import fetch

        return fetch(parse_hub_address(address, revision))

    def addresses(self) -> list[str]:
        """The repositories of which a locked commit is in the cache, as ``NAMESPACE/NAME@COMMIT``."""
        from dragoman_registry.lock import all_locks

        return [f"{lock.repo}@{lock.commit}" for lock in all_locks() if not lock.missing()]

    def describe(self, address: str, revision: str | None) -> dict[str, Any]:
        """What a package is, from its manifest and the header of its weights; see :mod:`.remote_package`.

        Raises:
            PackageError: there is no such package, or the Hub cannot be reached.
        """
        from dragoman_registry.remote_package import describe

        return describe(parse_hub_address(address, revision))

    def publish(self, folder: Path, address: str, **options: Any) -> str:
        """Publish a package; see :mod:`.publishing` for what it takes to be published.

        Args:
            folder: that holds it.
            address: ``NAMESPACE/NAME``.
            **options: ``private``, ``token``, ``revision``, ``commit_message``, ``commit_description``, ``create_pr``,
                ``tag``, ``licences``, ``with_experts``, ``overwrite_card``.

        Returns:
            The URL of the commit or pull request.

        Raises:
            InputError: the package cannot be published as it is.
            PackageError: it is damaged, or the Hub refuses.
        """
        from dataclasses import fields

        from dragoman_registry.publishing import Request, publish
        from dragoman_registry.uploading import Upload

        names = {field.name for field in fields(Upload)}
        how = Upload(**{key: value for key, value in options.items() if key in names})
        rest = {key: value for key, value in options.items() if key not in names}
        return publish(folder, address, Request(how, **rest)).url
