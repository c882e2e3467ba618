"""Named checks of one subject, as one parametrised test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dragoman.cards import Card
from dragoman.catalogue import Catalogue, Offer
from dragoman.entrypoints import entry_points
from dragoman.plugins import ENTRY_POINT_GROUP, zoo
from dragoman.testing.comparing import require
from dragoman.testing.light import assert_light

__all__ = ["check_card", "find_offer", "fixture_value", "resolve", "suite"]

SubjectT = TypeVar("SubjectT")


def suite(
    checks: Mapping[str, Callable[[SubjectT], None]],
    make: Callable[[pytest.FixtureRequest], SubjectT],
    skip: Mapping[str, str],
) -> Callable[..., None]:
    """A test function with one case for each check; the subject is made once.

    Args:
        checks: by the name that becomes the test's.
        make: makes the subject at the first case.
        skip: names of checks that do not apply, and why.

    Raises:
        ValueError: there is no check of a name to skip.
    """
    for name in skip:
        if name not in checks:
            raise ValueError(f"There is no check {name!r}; the checks are {', '.join(checks)}.")
    cases = [
        pytest.param(name, marks=[pytest.mark.skip(reason=skip[name])] if name in skip else [], id=name)
        for name in checks
    ]
    made: list[SubjectT] = []

    @pytest.mark.parametrize("check", cases)
    def test(check: str, request: pytest.FixtureRequest) -> None:
        if not made:
            made.append(make(request))
        checks[check](made[0])

    return test


def resolve(value: Any, request: pytest.FixtureRequest) -> Any:
    """What an author passed: the value itself, that of a fixture of this name, or a folder filled by a function.

    Args:
        value: a str that is an identifier names a fixture; a function is called with an empty folder, which is the
            value unless the function returns something else than a path or ``None``.
        request: of the test that asks.
    """
    value = fixture_value(value, request)
    if callable(value) and not hasattr(value, "state_dict"):
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("conformance")
        returned = value(folder)
        return folder if returned is None or isinstance(returned, (str, Path)) else returned
    return value


def fixture_value(value: Any, request: pytest.FixtureRequest) -> Any:
    """The value of the fixture, if a str is the name of one; the value itself otherwise."""
    is_name = isinstance(value, str) and value.isidentifier()
    return request.getfixturevalue(value) if is_name else value


def find_offer(kind: str, name: str) -> Offer[Any]:
    """The installed offer of that name."""
    catalogues: dict[str, Catalogue[Any]] = {catalogue.kind: catalogue for catalogue in zoo().catalogues}
    return catalogues[kind].find(name)


def check_card(offer: Offer[Any], base: type) -> None:
    """The card can be listed, its module is light, and its class is of the kind that it says.

    Raises:
        AssertionError: one of that does not hold.
    """
    card: Card = offer.card
    modules = {
        entry.value.partition(":")[0]
        for entry in entry_points(ENTRY_POINT_GROUP)
        if (entry.name, entry.distribution) == (offer.plugin.name, offer.plugin.distribution)
    }
    for module in modules:
        assert_light(module)
    require(card.summary.strip(), f"the card of {card.name} has no summary")
    kind = card.load()
    require(isinstance(kind, type) and issubclass(kind, base), f"{card.target} is no {base.__name__}")
