"""Bringing a repository to this machine: one commit, verified file by file, locked.

The order matters. The revision becomes a commit first, and everything after is asked for by that commit. What the
commit holds is read and checked before a single file is downloaded. What is already in the cache is not asked for
again, and a transfer that was interrupted goes on where it ended. What arrived is compared with the commit.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from dragoman.access import current_access
from dragoman.errors import PackageError
from dragoman.stores import Location
from dragoman_registry import patterns
from dragoman_registry.addresses import HubAddress
from dragoman_registry.bringing import bring, place
from dragoman_registry.client import at_the_hub, cache_folder, endpoint, is_unreachable
from dragoman_registry.digest import sha256_of_file
from dragoman_registry.lock import Lock, read_lock
from dragoman_registry.parts import FileEntry
from dragoman_registry.pins import check_tag, pinned, remember
from dragoman_registry.remote import Identity, Snapshot, look_up

__all__ = ["Plan", "fetch", "is_data", "plan", "wanted_files"]

#: The kinds of files that hold data and nothing that runs; the picture is the card's.
SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "samples.png")
#: Weights of repositories that have no safetensors; experts read them without unpickling objects.
PICKLED_WEIGHTS = ("pytorch_model.bin", "*/pytorch_model.bin")
_WORKERS = 8
_MAX_FILES = 10_000


@dataclass(frozen=True)
class Plan:
    """What a pull would do.

    Attributes:
        snapshot: the repository at one commit.
        files: those that hold data, by path.
        cached: the paths that are in the cache already.
    """

    snapshot: Snapshot
    files: Mapping[str, Identity]
    cached: frozenset[str]

    @property
    def to_download(self) -> int:
        """Bytes that are not here yet."""
        return sum(file.size for path, file in self.files.items() if path not in self.cached)


def fetch(address: HubAddress, *, repair: bool = False, accept_moved: bool = False) -> Location:
    """Bring what is not in the cache yet, verify everything, and lock it.

    Args:
        address: of the repository.
        repair: download again what was altered in the cache, instead of raising.
        accept_moved: take a tag that has moved for what it is now.

    Raises:
        PackageError: there is no such repository, the Hub cannot be reached, a file is not what the commit says or
            not what it was when it was locked, or a tag has moved; the sentence names it.
    """
    repair = repair or current_access().force_download
    locked = _locked(address) if not repair else None
    if locked is None:
        try:
            snapshot = look_up(address)
        except PackageError as error:
            if error.__cause__ is None or not is_unreachable(error.__cause__):
                raise
            locked = _locked(replace(address, revision=pinned(address)))
            if locked is None:
                return _unlocked(address, error)
        else:
            return _bring(snapshot, address, repair, accept_moved)
    _check_unaltered(locked, address)
    return Location(address.repo, locked.folder, locked.commit)


def plan(address: HubAddress) -> Plan:
    """What :func:`fetch` would do; nothing is downloaded but the list of files."""
    snapshot = look_up(address)
    files = wanted_files(snapshot)
    return Plan(snapshot, files, frozenset(path for path in files if place(snapshot, path).is_file()))


def is_data(path: str) -> bool:
    """Whether a file is of a kind that holds data, and nothing that runs."""
    return any(fnmatch(path, pattern) for pattern in SAFE_FILES)


def wanted_files(snapshot: Snapshot) -> dict[str, Identity]:
    """The files of a commit that hold data; weights in pickles only where there are no others.

    Raises:
        PackageError: a file has a name that could lead out of the folder, or means another file elsewhere.
    """
    wanted = _matching(snapshot.files, SAFE_FILES)
    if not any(path.endswith(".safetensors") for path in wanted):
        wanted |= _matching(snapshot.files, PICKLED_WEIGHTS)
    bad = [path for path in wanted if not patterns.is_safe_path(path)]
    if bad:
        raise PackageError(f"{snapshot.repo} lists a file with an unusable name: {bad[0][:80]!r}; nothing was fetched.")
    if len({path.lower() for path in wanted}) < len(wanted):
        raise PackageError(f"{snapshot.repo} lists two files whose names differ in case only; nothing was fetched.")
    if not wanted or len(wanted) > _MAX_FILES:
        raise PackageError(f"{snapshot.repo}@{snapshot.commit} holds {len(wanted):,} files of data; there is no model.")
    return wanted


def _bring(snapshot: Snapshot, address: HubAddress, repair: bool, accept_moved: bool) -> Location:
    files = wanted_files(snapshot)
    if not accept_moved:
        check_tag(address, snapshot.commit)
    lock = read_lock(snapshot.repo, snapshot.commit)
    if lock is not None:
        _check_upstream(lock, files)
    again = current_access().force_download
    with at_the_hub(str(address)):
        _download(snapshot, [path for path in files if again or not place(snapshot, path).is_file()], again)
        found = _verified(snapshot, files, repair or lock is None)
        if lock is not None:
            _check_same(lock, found)
        lock = Lock(snapshot.repo, snapshot.commit, endpoint(), found)
        _keep(lock, address)
    return Location(address.repo, lock.folder, lock.commit)


def _keep(lock: Lock, address: HubAddress) -> None:
    """Keep the lock and the commit; in a cache that others own, all is verified anew each time instead."""
    try:
        lock.write()
        remember(address, lock.commit)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise


def _locked(address: HubAddress) -> Lock | None:
    """The lock of a whole snapshot in the cache, where the revision is a commit: then the Hub need not be asked."""
    if not re.fullmatch(patterns.REVISION, address.revision):
        return None
    lock = read_lock(address.repo, address.revision)
    return lock if lock is not None and not lock.missing() else None


def _unlocked(address: HubAddress, error: PackageError) -> Location:
    """What the stock client brought at another time, where the Hub cannot be asked now."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                address.repo,
                revision=address.revision or None,
                cache_dir=cache_folder(),
                allow_patterns=[*SAFE_FILES],
                local_files_only=True,
            )
        )
    except Exception:
        raise error from error.__cause__
    return Location(address.repo, folder, folder.name)


def _check_unaltered(lock: Lock, address: HubAddress) -> None:
    for path in lock.altered():
        raise PackageError(
            f"{path} of {lock.repo} in the cache ({lock.folder / path}) is not what it was when it was pulled;"
            f" something altered it. Fetch it again with: dragoman pull {address.repo}@{lock.commit}"
        )


def _check_upstream(lock: Lock, files: Mapping[str, Identity]) -> None:
    for path, entry in lock.files.items():
        upstream = files.get(path)
        if upstream is None or upstream.size != entry.size or upstream.sha256 not in ("", entry.sha256):
            raise _exchanged(path, lock)


def _check_same(lock: Lock, found: Mapping[str, FileEntry]) -> None:
    for path, entry in lock.files.items():
        if found[path] != entry:
            raise _exchanged(path, lock)


def _exchanged(path: str, lock: Lock) -> PackageError:
    return PackageError(
        f"{path} of {lock.repo} was exchanged upstream: the Hub gives other bytes for the commit {lock.commit}"
        " than when it was pulled. A commit cannot change; do not trust this repository."
    )


def _download(snapshot: Snapshot, paths: list[str], again: bool) -> None:
    with ThreadPoolExecutor(_WORKERS) as pool:
        # Each in a context of its own, for the guard is on in this one only.
        jobs = [pool.submit(copy_context().run, _bring_one, snapshot, path, again) for path in paths]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _bring_one(snapshot: Snapshot, path: str, again: bool) -> None:
    bring(snapshot, path, again=again)


def _verified(snapshot: Snapshot, files: Mapping[str, Identity], repair: bool) -> dict[str, FileEntry]:
    """Compare every file with the commit; one that does not fit is fetched once more where ``repair`` allows it."""
    found = {}
    for path, identity in files.items():
        full = place(snapshot, path)
        if not identity.fits(full):
            if repair:
                bring(snapshot, path, again=True)
            if not identity.fits(full):
                raise PackageError(
                    f"{path} of {snapshot.repo} is not the file of the commit {snapshot.commit}: its bytes are others"
                    " than the Hub says. Pull it again; if this goes on, do not trust the server."
                )
        found[path] = FileEntry(sha256_of_file(full), full.stat().st_size)
    return found


def _matching(files: Mapping[str, Identity], wanted: tuple[str, ...]) -> dict[str, Identity]:
    return {path: file for path, file in files.items() if any(fnmatch(path, pattern) for pattern in wanted)}
