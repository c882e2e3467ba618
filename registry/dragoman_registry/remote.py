"""What a repository of the Hub holds at one commit: the commit itself and the identity of every file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragoman.access import current_access
from dragoman.errors import PackageError
from dragoman_registry import patterns
from dragoman_registry.addresses import HubAddress
from dragoman_registry.client import at_the_hub, make_client
from dragoman_registry.digest import sha256_of_file

__all__ = ["Identity", "Snapshot", "identity_of", "identity_of_bytes", "look_up"]

_CHUNK = 4 * 2**20


@dataclass(frozen=True)
class Identity:
    """What git says of one file: enough to recognise its bytes.

    Attributes:
        size: in bytes.
        sha256: 64 hexadecimal digits, for a file that git keeps by reference (LFS); else ``""``.
        blob: git's own name of the file's bytes (or of the reference), 40 hexadecimal digits.
    """

    size: int
    sha256: str
    blob: str

    def fits(self, path: Path) -> bool:
        """Whether the file has these bytes."""
        if path.stat().st_size != self.size:
            return False
        return sha256_of_file(path) == self.sha256 if self.sha256 else _git_blob(path) == self.blob


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        repo: ``NAMESPACE/NAME``.
        commit: 40 hexadecimal digits.
        files: identities by path.
        card: the front matter of the card, as the Hub read it.
        private: whether only some may see it.
    """

    repo: str
    commit: str
    files: Mapping[str, Identity]
    card: Mapping[str, Any] = field(default_factory=dict)
    private: bool = False


def look_up(address: HubAddress, token: str | None = None) -> Snapshot:
    """Ask the Hub, in one request, which commit a revision is and which files it has.

    Raises:
        PackageError: there is no such repository or revision, the Hub cannot be reached, or its answer is not sound.
    """
    from huggingface_hub import errors

    with at_the_hub(str(address)):
        if current_access().local_files_only:
            raise errors.OfflineModeIsEnabled("local_files_only")
        info = make_client(token).model_info(address.repo, revision=address.revision or None, files_metadata=True)
        if not re.fullmatch(patterns.REVISION, info.sha or "", re.ASCII):
            raise PackageError(f"The Hub answered for {address} with {str(info.sha)[:80]!r}, which is no commit.")
        files = {file.rfilename: _identity(file, address) for file in info.siblings or []}
        card = dict(vars(info.card_data)) if info.card_data else {}
        return Snapshot(address.repo, str(info.sha), files, card, bool(info.private))


def identity_of(path: Path) -> Identity:
    """The identity that a file would have."""
    return Identity(path.stat().st_size, sha256_of_file(path), _git_blob(path))


def identity_of_bytes(content: bytes) -> Identity:
    """The identity that a file with this content would have."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return Identity(len(content), hashlib.sha256(content).hexdigest(), blob.hexdigest())


def _identity(file: Any, address: HubAddress) -> Identity:
    sha256 = file.lfs.sha256 if file.lfs else ""
    size = file.lfs.size if file.lfs else file.size
    blob = file.blob_id or ""
    sound = isinstance(size, int) and size >= 0 and (sha256 or blob)
    for value, pattern in ((sha256, patterns.SHA256), (blob, patterns.REVISION)):
        sound = sound and (not value or re.fullmatch(pattern, str(value), re.ASCII))
    if not sound:
        raise PackageError(
            f"The Hub does not say what bytes {file.rfilename[:200]!r} of {address} has, so that it could be verified."
        )
    return Identity(size, sha256, blob)


def _git_blob(path: Path) -> str:
    sha = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
