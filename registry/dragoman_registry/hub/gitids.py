"""Ids as git computes them, so that a client, or an export to git, finds what it expects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["blob_id", "commit_id", "pointer", "tree_id"]


def pointer(sha256: str, size: int) -> bytes:
    """What git keeps of a file in LFS (git-lfs, docs/spec.md)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def blob_id(content: bytes) -> str:
    """Of a file."""
    return _oid("blob", content)


def tree_id(entries: Iterable[tuple[str, str, bool]]) -> str:
    """Of a folder: name, id, and whether it is a folder, of each entry."""
    ordered = sorted(
        entries, key=lambda entry: entry[0].encode() + b"/" * entry[2]
    )  # a folder sorts as if it ended in /
    rows = [
        b"%s %s\0%s" % (b"40000" if tree else b"100644", name.encode(), bytes.fromhex(oid))
        for name, oid, tree in ordered
    ]
    return _oid("tree", b"".join(rows))


def commit_id(tree: str, parent: str | None, author: str, seconds: int, message: str) -> str:
    """Of a commit by one person in one second, in UTC."""
    person = f"{author} <{author}@localhost> {seconds} +0000"
    lines = [
        f"tree {tree}",
        *([f"parent {parent}"] if parent else []),
        f"author {person}",
        f"committer {person}",
        "",
        message,
    ]
    return _oid("commit", "\n".join(lines).encode("utf-8", "replace"))


def _oid(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
