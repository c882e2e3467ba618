"""The body of a commit: one JSON object a line, a header and then operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

from dragoman_registry.hub.names import check_path, is_commit, is_sha256
from dragoman_registry.hub.reading import base64_field, field, object_of
from dragoman_registry.hub.refusal import RequestError, bad

__all__ = ["MAX_LINE", "MAX_REGULAR", "Add", "Delete", "Header", "Operation", "Refer", "parse"]

#: Largest file that is sent inside a commit, in bytes; larger ones go by LFS or xet.
MAX_REGULAR = 2 << 20
MAX_LINE = MAX_REGULAR * 4 // 3 + (64 << 10)
MAX_OPERATIONS = 100_000


@dataclass(frozen=True)
class Header:
    """What the commit is called, and the head that it was made for, if it insists on one."""

    title: str
    description: str
    parent: str | None


@dataclass(frozen=True)
class Add:
    """A file whose content is in the commit."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Refer:
    """A file whose content was sent before; ``size`` is what the client believes."""

    path: str
    sha256: str
    size: int | None


@dataclass(frozen=True)
class Delete:
    """A file that goes, or a folder with all that is in it."""

    path: str
    folder: bool


Operation: TypeAlias = Add | Refer | Delete


def parse(lines: IO[bytes]) -> Iterator[Header | Operation]:
    """The header and then the operations, one at a time.

    Raises:
        RequestError: a line is too long, unknown or malformed, a path is impossible, or there are too many.
    """
    count = 0
    while line := lines.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise RequestError(413, f"A file inside a commit has at most {MAX_REGULAR} bytes; send larger ones by LFS.")
        if not line.strip():
            continue
        count += 1
        if count > MAX_OPERATIONS:
            raise RequestError(413, f"A commit has at most {MAX_OPERATIONS} operations.")
        yield _line(line, first=count == 1)
    if not count:
        raise bad("The commit is empty.")


def _line(line: bytes, *, first: bool) -> Header | Operation:
    data = object_of(line)
    key, value = field(data, "key", str), field(data, "value", dict)
    if (key == "header") != first:
        raise bad("A commit starts with one header.")
    readers: dict[str, Callable[[dict[str, Any]], Header | Operation]] = {
        "header": _header,
        "file": _add,
        "lfsFile": _refer,
        "deletedFile": _delete,
        "deletedFolder": _delete_folder,
    }
    if key not in readers:
        raise bad(f"A commit cannot have the operation {key!r}.")
    return readers[key](value)


def _header(value: dict[str, Any]) -> Header:
    parent = field(value, "parentCommit", str, "") or None
    if parent is not None and not is_commit(parent):
        raise bad("The field 'parentCommit' must be a whole commit id.")
    title = field(value, "summary", str, "").strip() or "commit"
    return Header(title[:500], field(value, "description", str, "")[:10_000], parent)


def _add(value: dict[str, Any]) -> Add:
    path = check_path(field(value, "path", str))
    if field(value, "encoding", str, "utf-8") == "base64":
        return Add(path, base64_field(value, "content"))
    return Add(path, field(value, "content", str).encode())


def _refer(value: dict[str, Any]) -> Refer:
    path, oid = check_path(field(value, "path", str)), field(value, "oid", str)
    if field(value, "algo", str, "sha256") != "sha256" or not is_sha256(oid):
        raise bad(f"The content of {path!r} must be named by its sha256.")
    size = field(value, "size", int, -1)
    return Refer(path, oid, size if size >= 0 else None)


def _delete(value: dict[str, Any]) -> Delete:
    return Delete(field(value, "path", str).strip("/"), folder=False)


def _delete_folder(value: dict[str, Any]) -> Delete:
    return Delete(field(value, "path", str).strip("/"), folder=True)
