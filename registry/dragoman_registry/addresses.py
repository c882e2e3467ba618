"""Addresses of repositories on the Hub: ``ns/name[@revision]``, and the Hub's own ``hf://[models/]ns/name[@revision]``.

>>> parse_hub_address("hf://me/text2fashion@v1")
HubAddress(repo='me/text2fashion', revision='v1')
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dragoman.errors import PackageError
from dragoman_registry import patterns

__all__ = ["HubAddress", "looks_like_hub", "parse_hub_address"]

_SCHEME = "hf://"


@dataclass(frozen=True)
class HubAddress:
    """A repository, and which state of it.

    Attributes:
        repo: ``NAMESPACE/NAME``.
        revision: branch, tag or commit; ``""`` for the default branch.
    """

    repo: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def looks_like_hub(address: str) -> bool:
    """Whether an address is meant for the Hub: it has the form ``NAMESPACE/NAME``, or begins with ``hf://``."""
    return address.startswith(_SCHEME) or patterns.is_hub_id(address.partition("@")[0])


def parse_hub_address(address: str, revision: str | None = None) -> HubAddress:
    """Read an address.

    Args:
        address: see this module.
        revision: takes the place of the one in the address.

    Raises:
        PackageError: it is no address of a model, or the revision cannot be one.
    """
    repo, _, pinned = address.removeprefix(_SCHEME).partition("@")
    if address.startswith(_SCHEME):
        repo = repo.removeprefix("models/")
    if not patterns.is_hub_id(repo):
        raise PackageError(f"{address[:200]!r} is no model on the Hub; write NAMESPACE/NAME, or hf://NAMESPACE/NAME.")
    wanted = revision or pinned
    if wanted and not re.fullmatch(patterns.REF, wanted, re.ASCII):
        raise PackageError(f"{wanted[:200]!r} cannot be a revision of {repo}; give a branch, a tag or a commit.")
    return HubAddress(repo, wanted)
