"""Measured results in the front matter of a card: the Hub's ``model-index``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dragoman.errors import PackageError

__all__ = ["Result", "with_results"]

_KEY = "model-index"
_TASK = "image-generation"


class Result(NamedTuple):
    """One number.

    Attributes:
        metric: its type, such as ``"frechet_distance"``.
        value: the number.
        dataset: name of the real images.
        features: the network in whose features it was measured, ``NAME:PORT``: part of the metric's name.
    """

    metric: str
    value: float
    dataset: str
    features: str


def with_results(card: str, name: str, results: Sequence[Result], settings: Mapping[str, Any]) -> str:
    """The card with results in its front matter; those of the same metric, images and features are replaced.

    Args:
        card: content of a ``README.md``, with or without front matter.
        name: of the model.
        results: what was measured.
        settings: how, such as the number of samples.

    Raises:
        PackageError: the card has a ``model-index`` in another form than this function writes.
    """
    matter, body = _split(card)
    entries = [_entry(result, settings) for result in results]
    replaced = {_identity(entry) for entry in entries}
    kept = [entry for entry in _known(matter) if _identity(entry) not in replaced]
    line = f"{_KEY}: {json.dumps([{'name': name, 'results': kept + entries}])}\n"
    others = re.sub(rf"^{_KEY}:.*\n?(?:[ -].*\n?)*", "", matter, flags=re.MULTILINE)
    return f"---\n{others}{line}---\n{body}"


def _split(card: str) -> tuple[str, str]:
    """The lines between the fences, each with its newline, and what follows."""
    opening, _, rest = card.partition("---\n")
    matter, closing, body = rest.partition("\n---\n")
    return ("", card) if opening or not closing else (matter + "\n", body)


def _known(matter: str) -> list[dict[str, Any]]:
    found = re.search(rf"^{_KEY}:(.*)$", matter, flags=re.MULTILINE)
    if found is None:
        return []
    try:
        (model,) = json.loads(found[1])
        entries: list[dict[str, Any]] = list(model["results"])
        for entry in entries:
            _identity(entry)
    except (ValueError, TypeError, KeyError) as error:
        raise PackageError(
            f"The card has a {_KEY} that was not written by dragoman; take it out, or pass --no-card."
        ) from error
    return entries


def _entry(result: Result, settings: Mapping[str, Any]) -> dict[str, Any]:
    metric = {
        "type": result.metric,
        "name": f"{result.metric} ({result.features})",
        "value": result.value,
        "args": {"features": result.features, **settings},
    }
    dataset = {"type": re.sub(r"\W+", "-", result.dataset).strip("-") or "images", "name": result.dataset}
    return {"task": {"type": _TASK}, "dataset": dataset, "metrics": [metric]}


def _identity(entry: Mapping[str, Any]) -> tuple[str, str]:
    (metric,) = entry["metrics"]
    return str(entry["dataset"]["name"]), str(metric["name"])
