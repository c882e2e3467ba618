"""The manifest of a package, ``config.json``: what the package is, made of what, and how to tell that it is whole.

Reading is strict: an unknown entry, a wrong type or a name that could leave the folder is an error. What each field
is for stands in ``docs/manifest.md``; ``manifest.schema.json`` says the same to machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dragoman.errors import PackageError, PortError
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman_registry import patterns
from dragoman_registry.knob_entries import read_entries
from dragoman_registry.parts import Component, FileEntry, TranslatorPart
from dragoman_registry.strict import MAX_BYTES, Fields, dump_json, parse_json

__all__ = ["KINDS", "MANIFEST", "SAMPLES", "SCHEMA", "WEIGHTS", "Manifest", "read_manifest"]

#: Name of the manifest's file. The Hub counts the downloads of a repository by the requests for this name.
MANIFEST = "config.json"
#: Name of the file with the weights that a package contains.
WEIGHTS = "model.safetensors"
#: Name of the picture on the card.
SAMPLES = "samples.png"
#: Version of the schema that this version of dragoman writes; it reads this one and older ones.
SCHEMA = 1
#: What a package may hold.
KINDS = ("fusion", "expert", "translator", "critic")
_ENDS = {"source", "target"}
_ROLES = _ENDS | {"ranker"}
_MAX_FILES = 1000


@dataclass(frozen=True)
class Manifest:
    """Everything that ``config.json`` says.

    Attributes:
        kind: one of :data:`KINDS`.
        dragoman: the version that wrote the package.
        digest: of the tensors in ``model.safetensors``.
        requires: distributions that have to be installed, ``"NAME>=VERSION"``.
        components: parts by reference, by role (``"source"``, ``"target"``, ``"ranker"``).
        translator: the trained part, if the package contains one.
        ports: what the translator was trained between, ``"source"`` and ``"target"``.
        knobs: what may be chosen when it is used, with ranges and defaults.
        recipe: what trained it, complete enough to train it again.
        facts: what is known of it, such as library versions and measured figures.
        files: every file of the package but the manifest and the card, by its path in the package.
        schema: version of the schema.
    """

    kind: str
    dragoman: str
    digest: str
    requires: tuple[str, ...] = ()
    components: Mapping[str, Component] = field(default_factory=dict)
    translator: TranslatorPart | None = None
    ports: Mapping[str, Port] = field(default_factory=dict)
    knobs: tuple[Knob, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_bytes(self) -> bytes:
        """The file's content: deterministic JSON. Empty optional entries are left out.

        Raises:
            TypeError: the recipe, the facts or a configuration holds what JSON cannot.
            ValueError: one of them holds NaN or infinity.
        """
        data = asdict(self) | {"ports": {role: port.to_dict() for role, port in self.ports.items()}}
        data["components"] = {
            role: {key: value for key, value in asdict(part).items() if value not in ("", None)}
            for role, part in self.components.items()
        }
        data["knobs"] = [knob.to_dict() for knob in self.knobs]
        for key in ("translator", "knobs"):
            if not data[key]:
                del data[key]
        return dump_json(data)

    @classmethod
    def from_bytes(cls, raw: bytes, where: str) -> Manifest:
        """Read what :meth:`to_bytes` wrote, or anybody else.

        Args:
            raw: the file's content.
            where: the file, for messages.

        Raises:
            PackageError: it is no sound manifest, or of a newer schema; one sentence says what is wrong and where.
        """
        fields = Fields(parse_json(raw, where), where)
        _check_schema(fields)
        manifest = cls(
            kind=_kind(fields),
            dragoman=fields.text("dragoman", patterns.VERSION),
            digest=fields.text("digest", patterns.DIGEST),
            requires=fields.texts("requires", patterns.REQUIREMENT),
            components={role: Component.read(part) for role, part in fields.fields("components").items()},
            translator=_translator(fields),
            ports={role: _port(entry) for role, entry in fields.fields("ports").items()},
            knobs=read_entries(fields),
            recipe=fields.mapping("recipe"),
            facts=fields.mapping("facts"),
            files=_files(fields),
        )
        fields.done()
        _check_complete(manifest, where)
        return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the package in a folder.

    Raises:
        PackageError: there is none, or it is not sound.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PackageError(
            f"{folder} is no model package: its {MANIFEST} cannot be read ({error.strerror})."
        ) from error
    return Manifest.from_bytes(raw, str(path))


def _check_schema(fields: Fields) -> None:
    schema = fields.integer("schema", 1, 2**31)
    if schema > SCHEMA:
        raise PackageError(
            f"{fields.where} has schema {schema}, which is newer than this dragoman reads ({SCHEMA});"
            " run: pip install --upgrade dragoman"
        )


def _kind(fields: Fields) -> str:
    kind = fields.text("kind")
    if kind not in KINDS:
        raise PackageError(f"{fields.where} has kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    return kind


def _translator(fields: Fields) -> TranslatorPart | None:
    if not fields.has("translator"):
        return None
    return TranslatorPart.read(Fields(fields.mapping("translator"), f"{fields.where}: translator"))


def _port(fields: Fields) -> Port:
    texts = {key: fields.text(key) for key in ("name", "modality", "dtype", "normalisation", "summary")}
    flags = {key: fields.flag(key) for key in ("gives", "takes")}
    shape = fields.array("shape")
    fields.done()
    if any(type(size) not in (int, str) for size in shape):
        raise PackageError(f"{fields.where}: 'shape' must hold whole numbers and names.")
    try:
        return Port(shape=tuple(shape), **texts, **flags)  # type: ignore[arg-type]
    except PortError as error:
        raise PackageError(f"{fields.where}: {error}") from error


def _files(fields: Fields) -> dict[str, FileEntry]:
    entries = fields.fields("files")
    if len(entries) > _MAX_FILES:
        raise PackageError(f"{fields.where} lists {len(entries):,} files; at most {_MAX_FILES:,} are read.")
    for path in entries:
        if not patterns.is_safe_path(path):
            raise PackageError(f"{fields.where} lists a file with an unusable name: {path[:80]!r}.")
    if len({path.lower() for path in entries}) < len(entries):
        raise PackageError(f"{fields.where} lists two files whose names differ in case only.")
    return {path: FileEntry.read(entry) for path, entry in entries.items()}


def _check_complete(manifest: Manifest, where: str) -> None:
    if manifest.kind != "fusion":
        return
    missing = _ENDS - (manifest.components.keys() & manifest.ports.keys())
    if manifest.translator is None:
        missing |= {"translator"}
    unknown = (manifest.components.keys() - _ROLES) | (manifest.ports.keys() - _ENDS)
    if missing or unknown:
        what = f"without {', '.join(sorted(missing))}" if missing else f"with unknown roles {sorted(unknown)[:5]}"
        raise PackageError(f"{where} describes a fusion {what}.")
