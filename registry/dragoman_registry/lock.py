"""Locks: what was verified once stays what it was.

After a download the SHA-256 of every file is kept beside the Hub's cache, by repository and commit, and so is the
commit that each revision was. The client itself compares nothing but sizes: a byte that changes in the cache, a tag
that moves, or a server that gives other bytes for the same commit would pass unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dragoman.access import current_access
from dragoman.errors import PackageError
from dragoman_registry import patterns
from dragoman_registry.atomic import replace_file
from dragoman_registry.client import cache_folder
from dragoman_registry.digest import sha256_of_file
from dragoman_registry.parts import FileEntry
from dragoman_registry.strict import Fields, dump_json, parse_json

__all__ = ["Lock", "all_locks", "locks_folder", "read_lock"]

_SCHEMA = 1


@dataclass(frozen=True)
class Lock:
    """The files of one commit, as they were when they were verified.

    Attributes:
        repo: ``NAMESPACE/NAME``.
        commit: 40 hexadecimal digits.
        endpoint: the Hub that they came from.
        files: hashes and sizes by path.
    """

    repo: str
    commit: str
    endpoint: str
    files: Mapping[str, FileEntry]

    @property
    def folder(self) -> Path:
        """The snapshot in the Hub's cache."""
        return cache_folder() / _folder_name(self.repo) / "snapshots" / self.commit

    def write(self) -> None:
        """Keep the lock.

        Raises:
            OSError: the disk is full.
        """
        data = asdict(self) | {"schema": _SCHEMA}
        replace_file(_path(self.repo, self.commit), dump_json(data))

    def missing(self) -> list[str]:
        """Files that are no longer in the cache."""
        return [path for path in self.files if not (self.folder / path).is_file()]

    def altered(self) -> list[str]:
        """Files in the cache whose bytes are others than when they were verified."""
        return [path for path, entry in self.files.items() if not _is(self.folder / path, entry)]


def read_lock(repo: str, commit: str) -> Lock | None:
    """The lock of a commit, or ``None`` if it was never verified here.

    Raises:
        PackageError: the lock itself was altered.
    """
    path = _path(repo, commit)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    fields = Fields(parse_json(raw, str(path)), str(path))
    fields.integer("schema", 1, _SCHEMA)
    lock = Lock(
        fields.text("repo", patterns.HUB_ID),
        fields.text("commit", patterns.REVISION),
        fields.text("endpoint"),
        {name: FileEntry.read(entry) for name, entry in fields.fields("files").items()},
    )
    fields.done()
    if (lock.repo, lock.commit) != (repo, commit):
        raise PackageError(f"{path} is the lock of {lock.repo}@{lock.commit}; remove it and pull again.")
    return lock


def all_locks() -> Iterator[Lock]:
    """Every lock, by repository."""
    for path in sorted(locks_folder().glob("models--*--*/*.json")):
        repo = "/".join(path.parent.name.split("--")[1:3])
        if len(path.stem) == 40 and (lock := read_lock(repo, path.stem)):
            yield lock


def locks_folder() -> Path:
    """Where locks are kept: beside the Hub's cache, so that HF_HOME moves both; inside of one that was chosen."""
    if current_access().cache_dir:
        return cache_folder() / ".locks" / "dragoman"  # what tools for the cache leave alone
    return cache_folder().parent / "dragoman" / "locks"


def _path(repo: str, commit: str) -> Path:
    return locks_folder() / _folder_name(repo) / f"{commit}.json"


def _folder_name(repo: str) -> str:
    return "models--" + repo.replace("/", "--")  # as the Hub's cache names it


def _is(path: Path, entry: FileEntry) -> bool:
    if not path.is_file():
        return True  # no longer there is not altered
    return path.stat().st_size == entry.size and sha256_of_file(path) == entry.sha256
