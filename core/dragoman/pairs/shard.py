"""One file of a store of pairs."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.pairs.generated import Pairs
from dragoman.pairs.packed import Kept, PackedTokens, keep

__all__ = ["Shard", "read_shard", "write_shard"]


class Shard(NamedTuple):
    """Pairs, with each distinct caption stored once.

    Attributes:
        target: ``[N, ...]``.
        captions: the distinct captions.
        rows: int64 ``[N]``, the caption of each pair.
        conditions: the representation of each distinct caption.
    """

    target: Tensor
    captions: list[str]
    rows: Tensor
    conditions: Kept


def write_shard(path: Path, made: Pairs, source: Endpoint) -> None:
    """Encode the captions, each once, and write a shard whole.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    position = {caption: row for row, caption in enumerate(dict.fromkeys(made.captions))}
    text = json.dumps(list(position)).encode()
    tensors = {
        "target": made.target.cpu().contiguous(),
        "row": torch.tensor([position[caption] for caption in made.captions]),
        "captions": torch.frombuffer(bytearray(text), dtype=torch.uint8),
        **_condition_tensors(keep(source.expert.encode(list(position), source.port.name))),
    }
    try:
        with replacing(path) as file:
            file.write(save(tensors))
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise InputError(
            f"{path} could not be written ({reason}); the pairs made before are kept, so make room and run it again."
        ) from error


def read_shard(path: Path) -> Shard:
    """Read what :func:`write_shard` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        tensors = load_file(path)
        captions: list[str] = json.loads(tensors["captions"].numpy().tobytes())
        return Shard(tensors["target"], captions, tensors["row"], _condition(tensors))
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"The pairs in {path} are damaged ({error}); delete the file and run it again.") from error


def _condition_tensors(condition: Kept) -> dict[str, Tensor]:
    return condition._asdict() if isinstance(condition, PackedTokens) else {"condition": condition}


def _condition(tensors: dict[str, Tensor]) -> Kept:
    return PackedTokens(tensors["values"], tensors["lengths"]) if "values" in tensors else tensors["condition"]
