"""Captions that are encoded once: a whole file to shards on disk, and back.

Large text encoders are run before training, not in it (Saharia et al. 2022, arXiv:2205.11487, section 2.1). A shard is
a safetensors file that holds the tokens of its captions one after the other, without padding: caption ``k`` has rows
``offsets[k]`` to ``offsets[k + 1]`` of ``values``. Vectors are stored as they are, one row for each caption.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.progress import progress
from dragoman.representation import Representation, Tokens, concatenate, select

__all__ = ["CaptionStore", "encode_captions", "read_captions"]

#: What the shards depend on, and how many captions there are.
FACTS = "captions.json"
SHARD_SIZE = 1024


def read_captions(path: Path) -> list[str]:
    """The lines of a text file in UTF-8.

    Raises:
        InputError: it cannot be read, is empty, or has an empty line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8: {error}.") from error
    if not lines:
        raise InputError(f"{path} holds no captions; write one per line.")
    captions = [line.strip() for line in lines]
    if not all(captions):
        raise InputError(f"{path}: line {captions.index('') + 1} is empty; a caption belongs there.")
    return captions


def encode_captions(
    captions: Sequence[str],
    source: Endpoint,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    shard_size: int = SHARD_SIZE,
) -> CaptionStore:
    """Encode captions, shard by shard; a run that was killed goes on with the first missing shard.

    Args:
        captions: one or more texts.
        source: the expert and port.
        folder: where the shards go.
        dtype: type in which values are stored.
        shard_size: captions per shard.

    Raises:
        InputError: the folder holds other captions or another expert's, a value does not fit ``dtype``, or the disk
            is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, _facts(captions, source, dtype, shard_size))
    with progress("encoding captions", len(captions)) as shown:
        for number, start in enumerate(range(0, len(captions), shard_size)):
            part, path = captions[start : start + shard_size], folder / f"{number:05d}.safetensors"
            if not path.exists():
                encoded = source.expert.encode(list(part), source.port.name)
                _write(path, _tensors(encoded, dtype))
            shown.update(start + len(part))
    return CaptionStore(folder)


class CaptionStore:
    """Encoded captions by their number; one shard is in memory at a time.

    Args:
        folder: where :func:`encode_captions` put the shards.

    Attributes:
        facts: what they were encoded with.

    Raises:
        InputError: the folder holds no captions, or not all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = _read_facts(folder)
        shards = -(-int(self.facts["count"]) // int(self.facts["shard_size"]))
        missing = [n for n in range(shards) if not (folder / f"{n:05d}.safetensors").is_file()]
        if missing:
            raise InputError(f"{folder} lacks {len(missing)} of {shards} shards; encode the captions again to go on.")
        self._loaded: tuple[int, dict[str, Tensor]] = (-1, {})

    def __len__(self) -> int:
        return int(self.facts["count"])

    def at(self, rows: Sequence[int]) -> Representation:
        """The captions at the given numbers, float32 on the CPU, padded to the longest of them.

        Raises:
            InputError: a number is out of range, or a shard is damaged.
        """
        outside = [row for row in rows if not 0 <= row < len(self)]
        if outside:
            raise InputError(f"{self.folder} holds {len(self)} captions; there is no number {outside[0]}.")
        size = int(self.facts["shard_size"])
        # Shard by shard, whatever the order asked for: each file is opened once.
        order = sorted(range(len(rows)), key=lambda place: rows[place])
        found = concatenate([_one(self._shard(rows[place] // size), rows[place] % size) for place in order])
        return select(found, sorted(range(len(order)), key=order.__getitem__))

    def _shard(self, number: int) -> dict[str, Tensor]:
        if self._loaded[0] != number:
            path = self.folder / f"{number:05d}.safetensors"
            try:
                self._loaded = number, load_file(path)
            except (OSError, SafetensorError) as error:
                raise InputError(f"{path} is damaged ({error}); delete it and encode the captions again.") from error
        return self._loaded[1]


def _tensors(encoded: Representation, dtype: torch.dtype) -> dict[str, Tensor]:
    if isinstance(encoded, Tokens):
        lengths = encoded.mask.sum(dim=1).cpu()
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        return {"values": _stored(encoded.values[encoded.mask], dtype), "offsets": offsets}
    assert isinstance(encoded, Tensor)
    return {"values": _stored(encoded, dtype)}


def _stored(values: Tensor, dtype: torch.dtype) -> Tensor:
    stored = values.to("cpu", dtype)
    if not stored.isfinite().all():
        raise InputError(f"Some encoded values do not fit {dtype}; store them as bfloat16 or float32.")
    return stored.contiguous()


def _one(shard: dict[str, Tensor], row: int) -> Representation:
    if "offsets" not in shard:
        return shard["values"][row : row + 1].float()
    start, end = shard["offsets"][row : row + 2].tolist()
    values = shard["values"][start:end].float()
    return Tokens(values[None], torch.ones(1, len(values), dtype=torch.bool))


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        with replacing(path) as file:
            file.write(save(tensors))
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror}); what was encoded before is kept, so make room and go on."
        ) from error


def _facts(captions: Sequence[str], source: Endpoint, dtype: torch.dtype, shard_size: int) -> dict[str, Any]:
    return {
        "expert": source.name,
        "port": source.port.to_dict(),
        "weights": _weights_digest(source),
        "captions": hashlib.sha256(json.dumps(list(captions)).encode()).hexdigest(),
        "count": len(captions),
        "dtype": str(dtype).removeprefix("torch."),
        "shard_size": shard_size,
    }


def _weights_digest(source: Endpoint) -> str:
    """Of the files that the expert came from: offloaded weights are not in the module."""
    from dragoman_registry.digest import digest_of_folder

    if source.expert.origin is None:
        raise InputError(f"{source.name!r} was built in memory; save it and load it again before it encodes captions.")
    return digest_of_folder(source.expert.origin.folder)


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Begin a store, or make sure that the one that was begun here is the same."""
    path = folder / FACTS
    if path.exists():
        known = _read_facts(folder)
        other = [name for name, value in facts.items() if known.get(name) != value]
        if other:
            raise InputError(f"{folder} holds captions that differ in {', '.join(other)}; choose another folder.")
        return
    _write_text(path, json.dumps(facts, indent=2))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no encoded captions: {FACTS} cannot be read.") from error
    return facts
