"""The package format: a fusion as a folder of data, its experts by reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragoman.errors import PackageError
from dragoman.stores import Location
from dragoman_registry.header import TensorEntry, read_header
from dragoman_registry.manifest import MANIFEST, WEIGHTS, Manifest, read_manifest
from dragoman_registry.strict import MAX_BYTES, parse_json

if TYPE_CHECKING:
    import torch

    from dragoman.fusion import Fusion

__all__ = ["PackageFormat", "description", "is_package"]


class PackageFormat:
    """``config.json``, ``model.safetensors``, ``README.md``, ``test/``; a :class:`dragoman.formats.Format`."""

    def reads(self, folder: Path) -> bool:
        """Whether the folder's ``config.json`` is a manifest, or is so damaged that nobody could tell."""
        return is_package(folder)

    def describe(self, folder: Path) -> dict[str, Any]:
        """What the manifest says, and the size of the weights as their header tells it; torch is not imported.

        Raises:
            PackageError: the manifest or the header cannot be read.
        """
        return description(read_manifest(folder), read_header(folder / WEIGHTS))

    def load(self, location: Location, *, device: str | torch.device | None = None) -> Fusion:
        """Verify a package, then its experts, then load them; see :func:`dragoman_registry.loading.load_fusion`."""
        from dragoman_registry.loading import load_fusion

        return load_fusion(location, device=device)

    def save(self, fusion: Fusion, folder: Path) -> None:
        """Write a package as a whole or not at all; see :func:`dragoman_registry.saving.save_fusion`."""
        from dragoman_registry.saving import save_fusion

        save_fusion(fusion, folder)


def description(manifest: Manifest, tensors: Mapping[str, TensorEntry]) -> dict[str, Any]:
    """What a manifest and the header of the weights say, JSON-ready."""
    described: dict[str, Any] = json.loads(manifest.to_bytes())
    if manifest.knobs:
        described["knobs"] = [knob.to_dict() for knob in manifest.knobs]  # in an order for people
    table = [{"tensor": entry.name, "type": entry.dtype, "shape": str(list(entry.shape))} for entry in tensors.values()]
    parameters = sum(entry.elements for entry in tensors.values())
    return described | {"tensors": len(tensors), "parameters": parameters, "tensor_table": table}


def is_package(folder: Path) -> bool:
    """Whether a folder holds a manifest of ours; a damaged one counts, so that reading it can say what is wrong."""
    path = folder / MANIFEST
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            data = parse_json(file.read(MAX_BYTES + 1), str(path))
    except (PackageError, OSError):
        return True
    return isinstance(data, dict) and "dragoman" in data
