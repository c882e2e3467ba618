"""What may be called how: repositories, users, branches and tags, and files. All names come from strangers."""

from __future__ import annotations

import re
import unicodedata

from dragoman_registry.hub.refusal import bad

__all__ = ["check_path", "check_ref", "check_repository", "check_user", "fold", "is_commit", "is_sha256"]

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,199}")
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
#: First parts of addresses that are the server's own.
RESERVED = frozenset({"api", "models", "datasets", "spaces", "healthz", "_lfs", "_cas", "v1", "v2"})
#: Names that Windows gives to devices, whatever follows the dot.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
#: Control, format (such as right-to-left marks), surrogate, private and unassigned characters; line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LONGEST_PART, _LONGEST_PATH, _DEEPEST = 240, 1000, 32


def check_user(name: str) -> str:
    """The name of a user or organisation, as it is.

    Raises:
        RequestError: it is not 1 to 96 letters, digits, dots, dashes and underscores, or it is reserved.
    """
    if not _NAME.fullmatch(name) or "--" in name or ".." in name or fold(name).endswith((".git", ".ipynb")):
        raise bad(f"{name!r} cannot be a name: use 1 to 96 letters, digits, '-', '_' and '.', and no '--' or '..'.")
    if fold(name) in RESERVED:
        raise bad(f"The name {name!r} is taken by the server itself.")
    return name


def check_repository(namespace: str, name: str) -> str:
    """``namespace/name``.

    Raises:
        RequestError: one of them cannot be a name.
    """
    identifier = f"{check_user(namespace)}/{check_user(name)}"
    if len(identifier) > 96:
        raise bad(f"The name {identifier!r} is longer than 96 characters.")
    return identifier


def check_ref(name: str) -> str:
    """The short name of a branch or tag, by git's rules and in ASCII.

    Raises:
        RequestError: git, or a client that confuses it with a commit, would not take it.
    """
    parts = name.split("/")
    if (
        not _REF.fullmatch(name)
        or ".." in name
        or any(not p or p[0] == "." or p.endswith((".", ".lock")) for p in parts)
    ):
        raise bad(f"{name!r} cannot be the name of a branch or tag.")
    if is_commit(name.lower()) or name == "HEAD" or parts[0] == "refs":
        raise bad(f"{name!r} cannot be the name of a branch or tag: it means something else already.")
    return name


def check_path(path: str) -> str:
    """The path of a file in a repository, which every file system must be able to hold.

    Raises:
        RequestError: it leaves the repository, hides characters, is not in the form NFC, or Windows cannot store it.
    """
    if not path or len(path.encode("utf-8", "replace")) > _LONGEST_PATH:
        raise bad(f"A path in a repository has 1 to {_LONGEST_PATH} bytes.")
    if any(unicodedata.category(character) in _HIDDEN for character in path):
        raise bad(f"The path {path!r} has control or invisible characters.")
    if unicodedata.normalize("NFC", path) != path:
        raise bad(f"The path {path!r} is not in Unicode's normal form NFC; rename the file.")
    parts = path.split("/")
    if len(parts) > _DEEPEST:
        raise bad(f"The path {path!r} has more than {_DEEPEST} folders.")
    for part in parts:
        _check_part(part, path)
    return path


def _check_part(part: str, path: str) -> None:
    if part in ("", ".", ".."):
        raise bad(f"The path {path!r} is not a plain path inside the repository.")
    if any(character in '\\:<>"|?*' for character in part) or part[-1] in ". " or part[0] == " ":
        raise bad(f"The path {path!r} has a character that some file systems cannot store.")
    folded = fold(part)
    if folded in (".git", "git~1") or folded.partition(".")[0] in _DEVICES:
        raise bad(f"The path {path!r} has a part with a special meaning: {part!r}.")
    if len(part.encode()) > _LONGEST_PART:
        raise bad(f"The path {path!r} has a part of more than {_LONGEST_PART} bytes.")


def fold(name: str) -> str:
    """What names are compared by: two that differ only in case or in compatible characters are the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def is_commit(text: str) -> bool:
    """Whether it is a whole commit id, 40 lower-case hexadecimal digits."""
    return _COMMIT.fullmatch(text) is not None


def is_sha256(text: object) -> bool:
    """Whether it is a string of 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None
