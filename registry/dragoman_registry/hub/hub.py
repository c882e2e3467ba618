"""A Hub on a disk: its database, its blobs and what it was told to be."""

from __future__ import annotations

import os
from pathlib import Path

from dragoman.errors import InputError
from dragoman_registry.hub.blobs import Blobs
from dragoman_registry.hub.database import Database
from dragoman_registry.hub.signing import Signer, signing_key

__all__ = ["Hub"]


class Hub:
    """Everything that a request needs.

    Args:
        root: the folder; it is made, for its owner alone, when it is missing.
        url: where clients reach the server, without a slash at the end. Answers use it, never what a client says.
        multipart_above: bytes from which LFS uploads are sent in parts.

    Raises:
        InputError: the folder cannot be used.
    """

    def __init__(self, root: Path, url: str = "", *, multipart_above: int = 5 << 30) -> None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.blobs = Blobs(root)
        except OSError as error:
            raise InputError(f"{root} cannot be the folder of a Hub: {error.strerror}.") from error
        self.root, self.url, self.multipart_above = root, url, multipart_above
        self.xorbs = root / "xorbs"
        self.xorbs.mkdir(exist_ok=True)
        self.database = Database(root / "hub.sqlite")
        os.chmod(root / "hub.sqlite", 0o600)
        with self.database.writing() as db:
            self.signer = Signer(signing_key(db))

    def close(self) -> None:
        """Close the database."""
        self.database.close()
