"""Which commit each revision of a repository was when it was last asked for.

A branch may move; that is what branches are for. A tag must not, so a tag that moves is an error that names both
commits. And where the Hub cannot be reached, what a revision was the last time is what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dragoman.errors import PackageError
from dragoman_registry import patterns
from dragoman_registry.addresses import HubAddress
from dragoman_registry.atomic import replace_file
from dragoman_registry.client import at_the_hub, endpoint, make_client
from dragoman_registry.lock import locks_folder
from dragoman_registry.strict import dump_json, parse_json

__all__ = ["check_tag", "pinned", "remember"]

_DEFAULT = "main"


def pinned(address: HubAddress) -> str:
    """The commit that the revision was the last time, at this Hub; ``""`` if it was never asked for."""
    return _read(address.repo).get(_key(address), "")


def check_tag(address: HubAddress, commit: str) -> None:
    """Raise if a revision is a tag, and was another commit the last time.

    Raises:
        PackageError: the sentence names the tag and both commits.
    """
    before = pinned(address)
    if before in ("", commit) or not _is_tag(address):
        return
    raise PackageError(
        f"The tag {address.revision!r} of {address.repo} was moved: it was the commit {before} when you pulled it and"
        f" is {commit} now. Load {address.repo}@{before} for what you had; if you trust the change, run:"
        f" dragoman pull {address} --accept-moved"
    )


def remember(address: HubAddress, commit: str) -> None:
    """Keep which commit a revision is.

    Raises:
        OSError: the disk is full.
    """
    known = _read(address.repo)
    if known.get(_key(address)) != commit:
        replace_file(_path(address.repo), dump_json({**known, _key(address): commit}))


def _is_tag(address: HubAddress) -> bool:
    if not address.revision:
        return False
    with at_the_hub(str(address)):
        return any(tag.name == address.revision for tag in make_client().list_repo_refs(address.repo).tags)


def _key(address: HubAddress) -> str:
    return f"{address.revision or _DEFAULT} at {endpoint()}"


def _read(repo: str) -> dict[str, str]:
    path = _path(repo)
    try:
        found = parse_json(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    if not isinstance(found, Mapping) or not all(re.fullmatch(patterns.REVISION, str(v)) for v in found.values()):
        raise PackageError(f"{path} is damaged; remove it.")
    return dict(found)


def _path(repo: str) -> Path:
    return locks_folder() / ("models--" + repo.replace("/", "--")) / "revisions.json"
