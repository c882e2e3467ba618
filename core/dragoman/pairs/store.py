"""Pairs on disk: the frozen experts run once, and every step of training only reads.

A store is a folder of shards, each written whole; a build that was killed goes on with the first missing shard.
Equal captions are encoded once and stored once, in the first shard that has them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.pairs.generated import GeneratedPairs
from dragoman.pairs.packed import join_kept, taken
from dragoman.pairs.shard import read_captions, read_shard, write_shard
from dragoman.progress import progress
from dragoman.training.allocator import keep_freed_memory
from dragoman.training.method import Batch
from dragoman.training.seeding import generator_for

__all__ = ["PairStore", "build_store", "store_key"]

SHARD_SIZE = 4096
#: Of the shards; counted up when they change, so that older ones are not taken for new ones.
LAYOUT = 3
#: What the pairs depend on, and how many there are to be.
FACTS = "pairs.json"


class PairStore:
    """All pairs of a store, in memory.

    Args:
        folder: where :func:`build_store` put the shards.

    Attributes:
        target: ``[N, ...]``.
        captions: the distinct captions; one is there again for each shard without a new one.
        rows: int64 ``[N]``, the caption of each pair.
        conditions: the representation of each caption; of token sequences without padding.
        declined: ``[M, ...]``, the draws that got no caption.

    Raises:
        InputError: the folder holds no pairs, not all of them, or damaged ones.
    """

    def __init__(self, folder: Path) -> None:
        shards = [read_shard(path) for path in sorted(folder.glob("*.safetensors"))]
        if not shards:
            raise InputError(f"{folder} holds no pairs.")
        self.target = torch.cat([shard.target for shard in shards])
        self.captions = [caption for shard in shards for caption in shard.captions]
        self.rows = torch.cat([shard.rows for shard in shards])
        self.conditions = join_kept([shard.conditions for shard in shards])
        self.declined = torch.cat([shard.declined for shard in shards])
        self._check_complete(folder)

    def __len__(self) -> int:
        return len(self.target)

    def at(self, index: Tensor) -> Batch:
        """The pairs at the given positions."""
        rows = self.rows[index]
        return {
            "target": self.target[index],
            "condition": taken(self.conditions, rows),
            "caption": [self.captions[row] for row in rows.tolist()],
        }

    def _check_complete(self, folder: Path) -> None:
        try:
            count = json.loads((folder / FACTS).read_text(encoding="utf-8"))["count"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / FACTS} cannot be read; delete the folder and make the pairs again.") from error
        if len(self) != count:
            raise InputError(f"{folder} holds {len(self)} of {count} pairs; run what makes them again.")


def build_store(folder: Path, pairs: GeneratedPairs, count: int, seed: int) -> PairStore:
    """Make ``count`` pairs, shard by shard, and load them.

    Args:
        folder: parent of the store's own folder, which is named by a digest of everything that the pairs depend on.
        pairs: the experts.
        count: how many pairs.
        seed: shard ``k`` is drawn from ``(seed, k)``.

    Raises:
        InputError: ``count`` is below 2, or the disk is full.
    """
    if count < 2:
        raise InputError(f"At least 2 pairs are needed, not {count}.")
    if all(weight.device.type == "cpu" for weight in pairs.target.expert.parameters()):
        keep_freed_memory()  # a batch of pairs frees as much as a step of training does
    facts = _facts(pairs, count, seed)
    own = folder / _key(facts)
    own.mkdir(parents=True, exist_ok=True)
    with replacing(own / FACTS) as file:
        file.write(json.dumps(facts, indent=2).encode())
    known: list[str] = []
    with progress("making pairs", count) as shown:
        for index in range(math.ceil(count / SHARD_SIZE)):
            done = index * SHARD_SIZE
            path, size = own / f"{index:05d}.safetensors", min(SHARD_SIZE, count - done)
            if not path.exists():
                made = pairs.make(size, generator_for(seed, "pairs", index), _onwards(shown.update, done))
                write_shard(path, made, pairs.source, known)
            known += read_captions(path)
            shown.update(done + size)
    return PairStore(own)


def store_key(pairs: GeneratedPairs, count: int, seed: int) -> str:
    """Sixteen hex digits that change with any expert, port, the number of pairs or the seed."""
    return _key(_facts(pairs, count, seed))


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _facts(pairs: GeneratedPairs, count: int, seed: int) -> dict[str, Any]:
    return {
        "source": _endpoint_facts(pairs.source),
        "target": _endpoint_facts(pairs.target),
        "captioner": _expert_facts(pairs.captioner),
        "spread": pairs.spread,
        "count": count,
        "seed": seed,
        "shard_size": SHARD_SIZE,
        "layout": LAYOUT,
    }


def _endpoint_facts(endpoint: Endpoint) -> dict[str, str]:
    return {"port": endpoint.port.name, **_expert_facts(endpoint.expert)}


def _expert_facts(expert: Expert) -> dict[str, str]:
    # Of the weights, not of their address: a checkpoint that changed in place is another expert.
    digest = hashlib.sha256(json.dumps(expert.config, sort_keys=True, default=str).encode())
    for name, value in sorted(expert.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {"class": type(expert).__name__, "digest": digest.hexdigest()}


def _onwards(update: Callable[[int], None], start: int) -> Callable[[int], None]:
    return lambda done: update(start + done)
