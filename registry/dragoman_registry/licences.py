"""Licences: of the parts, and what follows for a whole that is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from dragoman.errors import InputError, PackageError
from dragoman_registry import patterns
from dragoman_registry.addresses import HubAddress
from dragoman_registry.client import is_missing
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id
from dragoman_registry.remote import look_up

__all__ = ["check_known", "complete", "forbids_commerce", "licence_of_all"]

# From the least condition to the most; whoever keeps the last one's conditions keeps those before it.
_PERMISSIVE = ("unlicense", "cc0-1.0", "0bsd", "mit", "isc", "bsd-2-clause", "bsd-3-clause", "apache-2.0")
_NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non-?commercial)([^a-z]|$)", re.IGNORECASE)


def licence_of_all(licences: Iterable[str]) -> str:
    """The licence of what is made of parts under these: ``""`` if one is unknown, ``"other"`` if none covers them all.

    Parts under one licence give that one. Parts under several permissive licences give the one with the most
    conditions. Everything else has to be read part by part.

    >>> licence_of_all(["mit", "apache-2.0"]), licence_of_all(["mit", "gpl-3.0"]), licence_of_all(["mit", ""])
    ('apache-2.0', 'other', '')
    """
    found = {licence.lower() for licence in licences}
    if "" in found or not found:
        return ""
    if len(found) == 1:
        return found.pop()
    return max(found, key=_PERMISSIVE.index) if found <= set(_PERMISSIVE) else "other"


def forbids_commerce(licence: str) -> bool:
    """Whether the name of a licence says that it is for non-commercial use.

    >>> forbids_commerce("cc-by-nc-4.0"), forbids_commerce("ncsa")
    (True, False)
    """
    return _NON_COMMERCIAL.search(licence) is not None


def complete(
    components: Mapping[str, Component], given: Mapping[str, str], token: str | None = None
) -> dict[str, Component]:
    """Components with the licences that are known by other ways: said by the user, or on the expert's own card.

    Args:
        components: parts by role.
        given: licences by role, as the user says them.
        token: for cards that only some may read.

    Raises:
        InputError: a role does not exist, or a licence cannot be one.
    """
    for role, licence in given.items():
        if role not in components:
            raise InputError(f"There is no part {role!r} to have a licence; the parts are {', '.join(components)}.")
        if not re.fullmatch(patterns.LICENCE, licence, re.ASCII):
            raise InputError(f"{licence!r} is no licence; give an SPDX id such as mit or cc-by-nc-4.0.")
    return {role: _with_licence(part, given.get(role, ""), token) for role, part in components.items()}


def check_known(components: Mapping[str, Component], repo: str) -> None:
    """Raise unless every part with weights has a licence.

    Raises:
        InputError: the sentence names the part and the way out.
    """
    for role, part in components.items():
        if part.repo and not part.licence:
            raise InputError(
                f"The licence of {part.name!r} ({part.repo}) is unknown, so {repo} was not published; find out, and add"
                f" --licence {role}=ID, such as mit."
            )


def _with_licence(part: Component, given: str, token: str | None) -> Component:
    if given:
        return replace(part, licence=given)
    if part.licence or not part.revision or not is_hub_id(part.repo):
        return part
    try:
        card = look_up(HubAddress(part.repo, part.revision), token).card
    except PackageError as error:
        if not is_missing(error.__cause__):
            raise
        return part  # published at another Hub
    named = card.get("license_name") if card.get("license") == "other" else card.get("license")
    found = " AND ".join(named) if isinstance(named, list) else str(named or "")
    return replace(part, licence=found) if re.fullmatch(patterns.LICENCE, found, re.ASCII) else part
