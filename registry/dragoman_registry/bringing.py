"""One file of a repository into the Hub's cache: resumable, no longer than it may be, and verified before it is there.

The stock client starts a download anew in every process, and takes whatever a server sends until the disk is full. So
the bytes go through its own function for transfers, with its sessions, retries and progress bars, into a file whose
name is that of the content; what a killed or disconnected pull left of it is continued by the next one. Only a file
that is what its commit says gets its place in the cache.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO, cast

from dragoman import __version__
from dragoman.errors import PackageError
from dragoman_registry.client import cache_folder, chosen_token, endpoint, make_client
from dragoman_registry.remote import Identity, Snapshot

__all__ = ["bring", "place"]

_LARGEST_OVER_HTTP = 50 * 10**9  # the Hub gives larger files in chunks only


def place(snapshot: Snapshot, path: str) -> Path:
    """Where the Hub's cache has a file of a commit."""
    return _storage(snapshot) / "snapshots" / snapshot.commit / path


def bring(snapshot: Snapshot, path: str, *, token: str | None = None, again: bool = False) -> Path:
    """Download one file, unless it is there.

    Args:
        snapshot: the commit that lists the file.
        path: in the repository; a name that was checked.
        token: instead of the one that the machine is logged in with.
        again: also if it is there.

    Returns:
        Its place in the cache.

    Raises:
        PackageError: the server sends other bytes than the commit says, or more of them.
        OSError: the disk is full.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    target, identity = place(snapshot, path), snapshot.files[path]
    if target.is_file() and not again:
        return target
    if identity.size > _LARGEST_OVER_HTTP:
        cache, commit = str(cache_folder()), snapshot.commit
        client = make_client(token)
        return Path(client.hf_hub_download(snapshot.repo, path, revision=commit, cache_dir=cache, force_download=again))
    name = identity.sha256 or identity.blob
    blob = _storage(snapshot) / "blobs" / name
    lock = cache_folder() / ".locks" / _storage(snapshot).name / f"{name}.lock"
    for folder in (blob.parent, lock.parent, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(str(lock)):
        if again or not (blob.is_file() and identity.fits(blob)):
            _transfer(snapshot, path, identity, blob, token)
        _link(blob, target)
    return target


def _transfer(snapshot: Snapshot, path: str, identity: Identity, blob: Path, token: str | None) -> None:
    partial = blob.with_name(f"{blob.name}.dragoman.incomplete")
    resumed = _continue(snapshot, path, identity, partial, token)
    if resumed and not identity.fits(partial):  # what was left of another attempt was no good
        partial.unlink()
        _continue(snapshot, path, identity, partial, token)
    if not identity.fits(partial):
        partial.unlink()
        raise PackageError(
            f"{path} of {snapshot.repo} is not the file of the commit {snapshot.commit}: its bytes are others"
            " than the Hub says. Pull it again; if this goes on, do not trust the server."
        )
    partial.replace(blob)


def _continue(snapshot: Snapshot, path: str, identity: Identity, partial: Path, token: str | None) -> int:
    """Append what is missing; how many bytes were there already."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = hf_hub_url(snapshot.repo, path, revision=snapshot.commit, endpoint=endpoint())
    headers = build_hf_headers(token=chosen_token(token), library_name="dragoman", library_version=__version__)
    with partial.open("ab+") as file:
        before = file.seek(0, os.SEEK_END)
        if before > identity.size:
            before = file.truncate(0)
        if before < identity.size:
            http_get(
                url,
                cast("BinaryIO", _Bounded(file, identity.size, f"{path} of {snapshot.repo}")),
                resume_size=before,
                headers={**headers, "Accept-Encoding": "identity"},
                expected_size=identity.size,
                displayed_filename=path,
            )
        file.flush()
        os.fsync(file.fileno())
    return before


class _Bounded:
    """A file that takes no more bytes than it should have in the end."""

    def __init__(self, file: BinaryIO, most: int, what: str) -> None:
        self._file, self._most, self._what = file, most, what

    def write(self, chunk: bytes) -> int:
        if self._file.tell() + len(chunk) > self._most:
            self._file.truncate(0)
            raise PackageError(
                f"The Hub sends more of {self._what} than the {self._most:,} bytes that it said; nothing was kept."
            )
        return self._file.write(chunk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _link(blob: Path, target: Path) -> None:
    """Give the blob its name in the snapshot, as the client does: by a relative link, or as a copy."""
    fresh = target.with_name(f"{target.name}.{secrets.token_hex(8)}.incomplete")
    try:
        fresh.symlink_to(os.path.relpath(blob, target.parent))
    except OSError:
        shutil.copyfile(blob, fresh)
    fresh.replace(target)


def _storage(snapshot: Snapshot) -> Path:
    return cache_folder() / ("models--" + snapshot.repo.replace("/", "--"))
