"""The parts of a manifest: what a package names, what it contains, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragoman.errors import PackageError
from dragoman_registry import patterns
from dragoman_registry.strict import Fields

__all__ = ["Component", "FileEntry", "TranslatorPart"]


@dataclass(frozen=True)
class Component:
    """A part that the package names instead of containing it.

    Attributes:
        name: the name on the part's card.
        plugin: the distribution that offers it.
        repo: Hub id, folder or other address of the checkpoint; ``""`` for a part without weights.
        revision: 40-hex commit of the checkpoint, or ``""`` where its store has none.
        subfolder: folder inside the repository.
        licence: SPDX id, or ``""`` if unknown.
        digest: of the checkpoint's tensors, see :mod:`dragoman_registry.digest`.
        config: the checkpoint's configuration, so that ports can be checked before anything is fetched.
    """

    name: str
    plugin: str
    repo: str = ""
    revision: str = ""
    subfolder: str = ""
    licence: str = ""
    digest: str = ""
    config: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, fields: Fields) -> Component:
        """Read one entry of ``components``."""
        part = cls(
            name=fields.text("name", patterns.NAME),
            plugin=fields.text("plugin", patterns.DISTRIBUTION),
            repo=fields.text("repo", default=""),
            revision=fields.text("revision", patterns.REVISION, default=""),
            subfolder=fields.text("subfolder", patterns.PATH, default=""),
            licence=fields.text("licence", patterns.LICENCE, default=""),
            digest=fields.text("digest", patterns.DIGEST, default=""),
            config=fields.mapping("config") if fields.has("config") else None,
        )
        fields.done()
        if part.repo and not part.digest:
            raise PackageError(f"{fields.where} names {part.repo} without its digest.")
        return part


@dataclass(frozen=True)
class TranslatorPart:
    """The trained part, whose weights the package contains.

    Attributes:
        name: the name on the translator's card.
        plugin: the distribution that offers it.
        config: keyword arguments that build it.
    """

    name: str
    plugin: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, fields: Fields) -> TranslatorPart:
        """Read the entry ``translator``."""
        name, plugin = fields.text("name", patterns.NAME), fields.text("plugin", patterns.DISTRIBUTION)
        part = cls(name, plugin, fields.mapping("config"))
        fields.done()
        return part


@dataclass(frozen=True)
class FileEntry:
    """One file of the package.

    Attributes:
        sha256: of its bytes, 64 hexadecimal digits.
        size: in bytes.
    """

    sha256: str
    size: int

    @classmethod
    def read(cls, fields: Fields) -> FileEntry:
        """Read one entry of ``files``."""
        entry = cls(fields.text("sha256", patterns.SHA256), fields.integer("size", 0, 2**50))
        fields.done()
        return entry
