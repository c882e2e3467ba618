"""Whether this version of Dragoman is one that a plugin asks for.

``packaging`` would know, but importing it takes longer than listing the whole zoo, so what it takes to compare plain
release numbers is here. What is not understood is taken to fit: the installer has judged it before.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["fits", "requirement_of"]

Release = tuple[int, ...]

_COMPARISONS: dict[str, Callable[[Release, Release], bool]] = {
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
}


def requirement_of(metadata: str, project: str = "dragoman") -> str:
    """The versions of a project that a distribution's metadata ask for, as ``">=0.1,<0.2"``, or ``""``.

    >>> requirement_of("Requires-Dist: dragoman (<0.2,>=0.1)")
    '<0.2,>=0.1'
    """
    found = re.search(rf"^Requires-Dist:\s*{project}\s*\(?([<>=!~][^;()\n]*)", metadata, re.MULTILINE | re.IGNORECASE)
    return found.group(1).replace(" ", "") if found else ""


def fits(version: str, specifier: str) -> bool:
    """Whether a version is in a specifier's range, as far as both are plain release numbers.

    >>> fits("0.2.0", ">=0.1,<0.2"), fits("0.1.4", ">=0.1,<0.2"), fits("1.4", "~=1.2"), fits("0.1", "===odd")
    (False, True, True, True)
    """
    return all(_fits_clause(_release(version), clause.strip()) for clause in specifier.split(","))


def _fits_clause(have: Release, clause: str) -> bool:
    found = re.fullmatch(r"(~=|>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)", clause)
    if not found or not have:
        return True
    want = _release(found.group(2))
    if found.group(1) == "~=":
        return _padded(have) >= _padded(want) and have[: len(want) - 1] == want[:-1]
    return _COMPARISONS[found.group(1)](_padded(have), _padded(want))


def _release(version: str) -> Release:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _padded(release: Release) -> Release:
    return release + (0,) * (6 - len(release))
