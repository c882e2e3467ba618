"""Checking a recipe before anything large is loaded, and writing out what it leaves to defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from dragoman.cards import TranslatorCard
from dragoman.endpoint import EndpointSpec
from dragoman.errors import InputError, PortError
from dragoman.plugins import zoo
from dragoman.ports import Port
from dragoman.recipe import Recipe
from dragoman.training.settings import Settings

__all__ = ["check_cards", "check_carries", "complete"]

DEFAULT_PAIRS = 32768
DEFAULT_STEPS = 2000
#: The steps of a budget in minutes that names none.
UNLIMITED = 10**9
_PAIRS = ("captioner", "count", "folder", "seed", "spread", "validation")


def complete(recipe: Recipe, steps: int | None = None) -> Recipe:
    """The recipe with all defaults of pairs, method and training written out, so that it gives the same ever after.

    Args:
        recipe: what the user wrote.
        steps: what a budget in minutes has become; without it, the budget stays in ``training`` as ``minutes``.

    Raises:
        InputError: an entry is unknown, contradicts another, or is out of range.
        UnknownNameError: the target is not installed.
    """
    return replace(
        recipe,
        pairs=_pairs(recipe),
        method={"name": "paired", **recipe.method},
        training=_training(recipe.training, steps),
    )


def check_cards(recipe: Recipe) -> None:
    """Raise if the cards of the experts and the translator already say that the ports do not fit.

    Raises:
        PortError: they do.
        UnknownNameError: no installed plugin offers one of them.
    """
    card = zoo().translators.find(recipe.translator["name"]).card
    source, target = EndpointSpec.parse(recipe.source), EndpointSpec.parse(recipe.target)
    given, taken = source.port_on_card(giving=True), target.port_on_card(giving=False)
    if given and taken:
        check_carries(card, source.expert, given, target.expert, taken)


def check_carries(card: TranslatorCard, source: str, given: Port, target: str, taken: Port) -> None:
    """Raise unless a translator takes what one port gives, and gives what the other takes.

    Args:
        card: the translator's.
        source: name of the expert that gives.
        given: its port.
        target: name of the expert that takes.
        taken: its port.

    Raises:
        PortError: one sentence that names both experts, both ports and both shapes.
    """
    if given.modality in card.takes and taken.modality in card.gives:
        return
    raise PortError(
        f"{card.name} takes {' or '.join(card.takes)} and gives {' or '.join(card.gives)}, so it does not carry "
        f"{source}'s {given} to {target}'s {taken}; choose other ports or another translator."
    )


def _pairs(recipe: Recipe) -> dict[str, Any]:
    given = dict(recipe.pairs)
    _check_known(given, _PAIRS, "pairs")
    if "folder" in given:
        if not isinstance(given["folder"], str) or len(given) > 1 + ("validation" in given):
            raise InputError("pairs: with a folder, which is a path, there is nothing else to say but validation.")
        _check_whole(given, {"validation": 0})
        return {"validation": 0, **given}
    pairs = {"captioner": "", "count": DEFAULT_PAIRS, "seed": 0, "spread": 1.0, "validation": 0, **given}
    _check_whole(pairs, {"count": 2, "seed": 0, "validation": 0})
    if type(pairs["spread"]) not in (int, float) or not 0 < pairs["spread"] < math.inf:
        raise InputError(f"pairs: spread must be a positive number, not {pairs['spread']!r}.")
    if not isinstance(pairs["captioner"], str):
        raise InputError(f"pairs: captioner must be the name of an expert, not {pairs['captioner']!r}.")
    return pairs | {"captioner": pairs["captioner"] or _captioner_of(EndpointSpec.parse(recipe.target))}


def _check_whole(pairs: Mapping[str, Any], smallest: Mapping[str, int]) -> None:
    for name, least in smallest.items():
        if name in pairs and (type(pairs[name]) is not int or pairs[name] < least):
            raise InputError(f"pairs: {name} must be a whole number of at least {least}, not {pairs[name]!r}.")


def _captioner_of(target: EndpointSpec) -> str:
    name = target.card.captioner
    if not name:
        raise InputError(
            f"No captioner is known for {target.expert!r}; name one with --captioner, or bring pairs with --pairs."
        )
    return name


def _training(given: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
    _check_known(given, (*Settings.__dataclass_fields__, "minutes"), "training")
    options = dict(given)
    minutes = options.pop("minutes", None)
    if minutes is None:
        return asdict(Settings(**{"steps": DEFAULT_STEPS, **options}))
    if not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise InputError(f"training: minutes must be a positive number, not {minutes!r}.")
    settings = asdict(Settings(**{"steps": UNLIMITED, **options}))
    return settings | ({"steps": steps} if steps else {"minutes": minutes})


def _check_known(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{where} has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.")
