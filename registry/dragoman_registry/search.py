"""Finding published packages, by the tags that publishing gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dragoman_registry.client import at_the_hub, make_client
from dragoman_registry.patterns import is_hub_id

__all__ = ["Found", "Query", "search"]


@dataclass(frozen=True)
class Query:
    """What is looked for; an empty field does not restrict.

    Attributes:
        text: part of the repository's name.
        source: expert that reads the prompt.
        target: expert that renders.
        translator: the translator between them.
        kind: ``"fusion"``, ``"expert"``, ``"translator"`` or ``"critic"``.
    """

    text: str = ""
    source: str = ""
    target: str = ""
    translator: str = ""
    kind: str = ""

    @property
    def tags(self) -> list[str]:
        """The tags that a package must all have."""
        named = {"from": self.source, "to": self.target, "translator": self.translator}
        kind = [f"dragoman:{self.kind}"] if self.kind else []
        return ["dragoman", *kind, *(f"dragoman:{key}:{name}" for key, name in named.items() if name)]


@dataclass(frozen=True)
class Found:
    """A published package, as its tags describe it.

    Attributes:
        repo: ``NAMESPACE/NAME``.
        kind: what it holds.
        source: expert that reads the prompt, or ``""``.
        target: expert that renders, or ``""``.
        translator: between them, or ``""``.
        licence: of the whole.
        downloads: of the last 30 days.
        modified: day of the last change.
    """

    repo: str
    kind: str
    source: str
    target: str
    translator: str
    licence: str
    downloads: int
    modified: str


def search(query: Query, *, limit: int = 50, token: str | None = None) -> Iterator[Found]:
    """Ask the Hub.

    Args:
        query: what is looked for.
        limit: how many are given at most.
        token: instead of the one that the machine is logged in with.

    Raises:
        PackageError: the Hub cannot be reached.
    """
    with at_the_hub("the list of models"):
        models = make_client(token).list_models(search=query.text or None, filter=query.tags, full=True)
        found = [_found(model) for model in islice(models, limit)]
    # A name is printed, and used in commands: what is no name is no model.
    return iter([entry for entry in found if is_hub_id(entry.repo)])


def _found(model: Any) -> Found:
    tags = model.tags or []
    kinds = [tag.removeprefix("dragoman:") for tag in tags if tag.startswith("dragoman:") and tag.count(":") == 1]
    return Found(
        repo=model.id,
        kind=_plain(kinds[0]) if kinds else "",
        source=_tagged(tags, "dragoman:from:"),
        target=_tagged(tags, "dragoman:to:"),
        translator=_tagged(tags, "dragoman:translator:"),
        licence=_tagged(tags, "license:"),
        downloads=model.downloads or 0,
        modified=f"{model.last_modified:%Y-%m-%d}" if model.last_modified else "",
    )


def _tagged(tags: list[str], prefix: str) -> str:
    return _plain(next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), ""))


def _plain(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(character for character in text[:100] if character.isprintable())
