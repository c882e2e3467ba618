"""Checks of options, with sentences that name them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from dragoman.errors import InputError, PortError
from dragoman.ports import Port

__all__ = ["check_choice", "check_known", "check_modality", "check_range"]


def check_known(given: Mapping[str, Any], known: Collection[str], owner: str, what: str = "option") -> None:
    """Raise if a name is not known.

    Raises:
        InputError: the sentence lists those that are.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{owner} has no {what} {unknown[0]!r}; it has {', '.join(sorted(known)) or 'none'}.")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise unless a value is one of the choices.

    Raises:
        InputError: it is not.
    """
    if value not in choices:
        raise InputError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}.")


def check_range(name: str, value: Any, least: float, most: float = math.inf, *, whole: bool = False) -> None:
    """Raise unless a number is within bounds, both included.

    Raises:
        InputError: it is not, is no number, or is no whole number where one is needed.
    """
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most or math.isinf(value):
        upper = f" and at most {most:g}" if most < math.inf else ""
        raise InputError(
            f"{name} must be a {'whole ' if whole else ''}number of at least {least:g}{upper}, not {value!r}."
        )


def check_modality(port: Port, modalities: Collection[str], who: str, verb: str) -> None:
    """Raise unless a port is of one of the modalities.

    Raises:
        PortError: it is not; the sentence names the port.
    """
    if port.modality not in modalities:
        raise PortError(f"{who} {verb} {' or '.join(modalities)}, not the port {port}.")
