"""Pairs on disk: the frozen experts run once, and every step of training only reads.

A store is a folder of shards, each written whole; a build that was killed goes on with the first missing shard.
Equal captions are encoded once and stored once in each shard.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.pairs.generated import GeneratedPairs, Pairs
from dragoman.progress import progress
from dragoman.representation import Representation, Tokens, concatenate, select
from dragoman.training.method import Batch
from dragoman.training.seeding import generator_for

__all__ = ["PairStore", "build_store", "store_key"]

SHARD_SIZE = 4096


class PairStore:
    """All pairs of a store, in memory, drawn with replacement.

    Args:
        folder: where :func:`build_store` put the shards.

    Attributes:
        target: ``[N, ...]``.
        captions: the distinct captions.
        rows: int64 ``[N]``, the caption of each pair.
        conditions: the representation of each distinct caption.
    """

    def __init__(self, folder: Path) -> None:
        shards = [_read_shard(path) for path in sorted(folder.glob("*.safetensors"))]
        if not shards:
            raise InputError(f"{folder} holds no pairs.")
        self.target = torch.cat([target for target, _, _, _ in shards])
        self.captions: list[str] = [caption for _, captions, _, _ in shards for caption in captions]
        offsets = [0]
        for _, captions, _, _ in shards:
            offsets.append(offsets[-1] + len(captions))
        self.rows = torch.cat([rows + start for (_, _, rows, _), start in zip(shards, offsets, strict=False)])
        self.conditions = concatenate([conditions for _, _, _, conditions in shards])

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Pairs drawn with replacement."""
        return self.at(torch.randint(len(self), (size,), generator=generator))

    def at(self, index: Tensor) -> Batch:
        """The pairs at the given positions."""
        rows = self.rows[index].tolist()
        return {
            "target": self.target[index],
            "condition": select(self.conditions, rows),
            "caption": [self.captions[row] for row in rows],
        }


def build_store(folder: Path, pairs: GeneratedPairs, count: int, seed: int) -> PairStore:
    """Make ``count`` pairs, shard by shard, and load them.

    Args:
        folder: parent of the store's own folder, which is named by a digest of everything that the pairs depend on.
        pairs: the experts.
        count: how many pairs.
        seed: shard ``k`` is drawn from ``(seed, k)``.

    Raises:
        InputError: ``count`` is below 2.
    """
    if count < 2:
        raise InputError(f"At least 2 pairs are needed, not {count}.")
    own = folder / store_key(pairs, seed)
    own.mkdir(parents=True, exist_ok=True)
    shards = math.ceil(count / SHARD_SIZE)
    with progress("making pairs", count) as shown:
        for index in range(shards):
            size = min(SHARD_SIZE, count - index * SHARD_SIZE)
            path = own / f"{index:05d}-{size}.safetensors"
            if not path.exists():
                made = pairs.make(size, generator_for(seed, "pairs", index))
                _write_shard(path, made, pairs.source)
            shown.update(min(count, (index + 1) * SHARD_SIZE))
    return PairStore(own)


def store_key(pairs: GeneratedPairs, seed: int) -> str:
    """Sixteen hex digits that change with any expert, port or the seed."""
    facts: Mapping[str, Any] = {
        "source": _facts(pairs.source),
        "target": _facts(pairs.target),
        "captioner": _expert_facts(pairs.captioner),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    return {"port": endpoint.port.name, **_expert_facts(endpoint.expert)}


def _expert_facts(expert: Any) -> dict[str, Any]:
    # A fingerprint of the weights, not of their address: a checkpoint that changed in place is another expert.
    sums = [float(value.double().sum()) for value in expert.state_dict().values() if value.is_floating_point()]
    return {"class": type(expert).__name__, "config": expert.config, "weights": sums}


def _write_shard(path: Path, made: Pairs, source: Endpoint) -> None:
    distinct = list(dict.fromkeys(made.captions))
    position = {caption: row for row, caption in enumerate(distinct)}
    condition = source.expert.encode(distinct, source.port.name)
    text = torch.frombuffer(bytearray(json.dumps(distinct).encode()), dtype=torch.uint8)
    tensors = {
        "target": made.target.cpu().contiguous(),
        "row": torch.tensor([position[caption] for caption in made.captions]),
        "captions": text,
        **_condition_tensors(condition),
    }
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary)
    temporary.replace(path)


def _condition_tensors(condition: Representation) -> dict[str, Tensor]:
    if isinstance(condition, Tokens):
        return {"values": condition.values.cpu().contiguous(), "mask": condition.mask.cpu().contiguous()}
    assert isinstance(condition, Tensor)
    return {"condition": condition.cpu().contiguous()}


def _read_shard(path: Path) -> tuple[Tensor, list[str], Tensor, Representation]:
    tensors = load_file(path)
    captions: list[str] = json.loads(bytes(tensors["captions"].tolist()).decode())
    condition: Representation = (
        Tokens(tensors["values"], tensors["mask"]) if "values" in tensors else tensors["condition"]
    )
    return tensors["target"], captions, tensors["row"], condition
