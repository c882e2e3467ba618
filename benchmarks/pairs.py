"""A batch of pairs from the cache, against the experts run for it: CPU seconds, interleaved."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

BATCH = 256
ROUNDS = 5


def run() -> dict[str, Any]:
    """Time both, and say how many batches pay for building the cache of as many pairs."""
    from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
    from dragoman.pairs import GeneratedPairs, build_store
    from dragoman.pairs.split import TrainingPart

    torch.set_num_threads(1)
    source = Endpoint.load(EndpointSpec.parse("bert:pooled"), giving=True)
    target = Endpoint.load(EndpointSpec.parse("biggan-fashion:latent"), giving=False)
    pairs = GeneratedPairs(source, target, load_expert("captioner-fashion"))
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        store = TrainingPart(build_store(Path(folder), pairs, 8 * BATCH, 0), 0)
        build = time.process_time() - started
        times: dict[str, list[float]] = {"cached": [], "experts in every step": []}
        for seed in range(ROUNDS):
            for name, data in (("cached", store), ("experts in every step", pairs)):
                started = time.process_time()
                data.batch(BATCH, torch.Generator().manual_seed(seed))
                times[name].append(time.process_time() - started)
    cached, streamed = (median(times[name]) for name in times)
    return {
        "batch": BATCH,
        "cpu_seconds_per_batch": {name: median(values) for name, values in times.items()},
        "experts_over_cached": streamed / cached,
        "cpu_seconds_to_build_8_batches": build,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
