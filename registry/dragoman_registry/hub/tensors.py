"""How many parameters a model has, read from the headers of its safetensors files, once per file."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from dragoman.errors import PackageError
from dragoman_registry.header import read_header
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.trees import File, Files

__all__ = ["tensor_facts"]

#: Files of this size or fewer shards are looked at.
_MAX_SHARDS = 200


def tensor_facts(hub: Hub, files: Files) -> dict[str, Any] | None:
    """Parameters by dtype and in all of ``model.safetensors`` or of its shards; None when there is no sound one."""
    shards = [path for path in files if path == "model.safetensors"] or [
        path for path in files if path.startswith("model-") and path.endswith(".safetensors")
    ]
    if not shards or len(shards) > _MAX_SHARDS:
        return None
    total: Counter[str] = Counter()
    for path in shards:
        counts = _counts(hub, files[path])
        if counts is None:
            return None
        total.update(counts)
    return {"parameters": dict(total), "total": sum(total.values())}


def _counts(hub: Hub, file: File) -> dict[str, int] | None:
    with hub.database.reading() as db:
        row = db.execute("SELECT body FROM tensors WHERE sha256 = ?", (file.sha256,)).fetchone()
    if row is None:
        counts = _count(hub, file)
        with hub.database.writing() as db:
            db.execute("INSERT OR IGNORE INTO tensors VALUES (?, ?)", (file.sha256, json.dumps(counts)))
        return counts
    found: dict[str, int] | None = json.loads(row["body"])
    return found


def _count(hub: Hub, file: File) -> dict[str, int] | None:
    counts: Counter[str] = Counter()
    try:
        for entry in read_header(hub.blobs.path(file.sha256)).values():
            counts[entry.dtype] += entry.elements
    except PackageError:
        return None
    return dict(counts)
