"""How a model is fetched from where it is published: the keywords of the Hub's own ``from_pretrained``.

They hold for everything that is fetched inside of :func:`using`, so that a token for a fusion is also one for its
experts, and no network in between has to hand them on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

__all__ = ["Access", "AccessOptions", "current_access", "using"]


class AccessOptions(TypedDict, total=False):
    """Keyword arguments of everything that fetches; see :class:`Access`."""

    token: str | bool | None
    cache_dir: str | Path | None
    force_download: bool
    local_files_only: bool


@dataclass(frozen=True)
class Access:
    """How to fetch.

    Attributes:
        token: instead of the one that the machine is logged in with; ``False`` for none at all.
        cache_dir: instead of the store's own cache.
        force_download: fetch again what is in the cache.
        local_files_only: fetch nothing, use the cache.
    """

    token: str | bool | None = None
    cache_dir: str | Path | None = None
    force_download: bool = False
    local_files_only: bool = False


_USUAL = Access()
_CURRENT: ContextVar[Access] = ContextVar("dragoman_access", default=_USUAL)


def current_access() -> Access:
    """What stores go by now."""
    return _CURRENT.get()


@contextmanager
def using(**options: Unpack[AccessOptions]) -> Iterator[None]:
    """Fetch in this way inside of the block, in this thread; without options, as outside."""
    token = _CURRENT.set(Access(**options)) if options else None
    try:
        yield
    finally:
        if token is not None:
            _CURRENT.reset(token)
