"""What names in a manifest may look like. A name that fits cannot leave a folder, a line, or a shell word."""

from __future__ import annotations

import re

__all__ = [
    "DIGEST",
    "DISTRIBUTION",
    "HUB_ID",
    "LICENCE",
    "NAME",
    "NAME_OF_CHOICE",
    "PATH",
    "REF",
    "REQUIREMENT",
    "REVISION",
    "SHA256",
    "VERSION",
    "is_hub_id",
    "is_safe_path",
]

#: A name on a card.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
#: A value of a knob that is a choice, such as ``dpm++``.
NAME_OF_CHOICE = r"[\w+ .,:/-]{1,100}"
#: A Python distribution.
DISTRIBUTION = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
#: A version of a distribution, without epochs and local parts.
VERSION = r"[0-9][0-9a-z.]{0,49}"
#: A distribution and its least version; nothing else that pip would understand.
REQUIREMENT = rf"{DISTRIBUTION}>={VERSION}"
#: A commit.
REVISION = r"[0-9a-f]{40}"
#: A branch, tag or commit, as git allows them, without what is special to a path or a shell.
REF = r"(?!.*(\.\.|//|\.lock$))[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}(?<![./])"
#: A SHA-256.
SHA256 = r"[0-9a-f]{64}"
#: What :mod:`dragoman_registry.digest` makes.
DIGEST = rf"(tensors|file)-sha256:{SHA256}"
#: An SPDX id or expression.
LICENCE = r"[A-Za-z0-9.+() -]{1,100}"
#: A relative path; see :func:`is_safe_path` for what a pattern cannot say.
PATH = r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,7}"
#: A repository of the Hub, ``NAMESPACE/NAME``.
HUB_ID = r"(?!.*(\.\.|--))[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def is_safe_path(path: str) -> bool:
    """Whether a path names a file inside a folder, on any file system.

    ASCII only, with ``/`` between parts, none of which is hidden, empty, ``..``, ends in a dot, or is a device of
    Windows; so neither case folding nor Unicode normalisation nor a drive letter can lead outside.
    """
    if not re.fullmatch(PATH, path, re.ASCII):
        return False
    return not any(_RESERVED.fullmatch(part) or part.endswith(".") for part in path.split("/"))


def is_hub_id(address: str) -> bool:
    """Whether an address has the form of a Hub repository, ``NAMESPACE/NAME``."""
    return re.fullmatch(HUB_ID, address, re.ASCII) is not None
