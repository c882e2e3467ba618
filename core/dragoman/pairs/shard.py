"""One file of a store of pairs."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.pairs.generated import Pairs
from dragoman.pairs.packed import Kept, PackedTokens, keep

__all__ = ["Shard", "read_captions", "read_shard", "write_shard"]


class Shard(NamedTuple):
    """Pairs, and the captions that no shard before had.

    Attributes:
        target: ``[N, ...]``.
        captions: the captions that are new, each once.
        rows: int64 ``[N]``, the caption of each pair among those of this shard and all before.
        conditions: the representation of each new caption.
        declined: ``[M, ...]``, the draws that got no caption.
    """

    target: Tensor
    captions: list[str]
    rows: Tensor
    conditions: Kept
    declined: Tensor


def write_shard(path: Path, made: Pairs, source: Endpoint, known: Sequence[str]) -> None:
    """Encode the captions that are new, each once, and write a shard whole.

    Args:
        path: the file.
        made: the pairs.
        source: encodes the captions.
        known: the captions of the shards before, in their order.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    position = {caption: row for row, caption in reversed(list(enumerate(known)))}
    # No encoder takes an empty list: where nothing is new, one caption is kept twice.
    fresh = [caption for caption in dict.fromkeys(made.captions) if caption not in position] or made.captions[:1]
    for row, caption in enumerate(fresh, start=len(known)):
        position.setdefault(caption, row)
    tensors = {
        "target": made.target.cpu().contiguous(),
        "declined": made.declined.cpu().contiguous(),
        "row": torch.tensor([position[caption] for caption in made.captions]),
        "captions": torch.frombuffer(bytearray(json.dumps(fresh).encode()), dtype=torch.uint8),
        **_condition_tensors(keep(source.expert.encode(fresh, source.port.name))),
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
        captions, conditions = _words(tensors["captions"]), _condition(tensors)
        return Shard(tensors["target"], captions, tensors["row"], conditions, tensors["declined"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def read_captions(path: Path) -> list[str]:
    """The new captions of a shard alone.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _words(file.get_tensor("captions"))
    except (SafetensorError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def _words(captions: Tensor) -> list[str]:
    words: list[str] = json.loads(captions.numpy().tobytes())
    return words


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"The pairs in {path} are damaged ({error}); delete the file and run it again.")


def _condition_tensors(condition: Kept) -> dict[str, Tensor]:
    return condition._asdict() if isinstance(condition, PackedTokens) else {"condition": condition}


def _condition(tensors: dict[str, Tensor]) -> Kept:
    return PackedTokens(tensors["values"], tensors["lengths"]) if "values" in tensors else tensors["condition"]
