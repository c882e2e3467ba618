"""What a careless or hostile hand does to a package."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dragoman_registry.digest import digest_of_file, sha256_of_file


def edit_manifest(package: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, and nothing else."""
    manifest = json.loads((package / "config.json").read_text())
    edit(manifest)
    (package / "config.json").write_text(json.dumps(manifest))


def reseal(package: Path) -> None:
    """Make all hashes of the manifest fit the files again, as somebody would who has altered them on purpose."""

    def edit(manifest: dict[str, Any]) -> None:
        for name in manifest["files"]:
            path = package / name
            manifest["files"][name] = {"sha256": sha256_of_file(path), "size": path.stat().st_size}
        manifest["digest"] = digest_of_file(package / "model.safetensors")

    edit_manifest(package, edit)


def safetensors_bytes(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A safetensors file with any header at all."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(start: int, end: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, Any]:
    """The header's entry of one tensor, of bytes unless said otherwise."""
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}
