"""Decoding with the expert ``biggan`` against calling pytorch-pretrained-biggan directly, on the same random weights.

Both make the same images of a BigGAN-deep of the published 128-pixel geometry at a quarter of its width. Runs
alternate, in both orders, and CPU time is compared pair by pair, so that other work on the machine weighs on both.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from time import process_time
from typing import Any

import torch
from pytorch_pretrained_biggan import BigGAN as Reference
from pytorch_pretrained_biggan import BigGANConfig
from torch import Tensor

from dragoman_biggan.deep import DeepGenerator
from dragoman_biggan.deep_config import DeepConfig
from dragoman_biggan.expert import BigGAN

CONFIG = DeepConfig(channel_width=32)
BATCH = 2
PAIRS = 15
TRUNCATION = 0.5
#: Largest CPU time of the expert over that of the reference.
TARGET = 1.03


def run() -> dict[str, Any]:
    """Measure on one thread; ``overhead_ratio`` is the median over pairs of expert time over reference time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return _measure(*_contestants())
    finally:
        torch.set_num_threads(threads)


def _contestants() -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Two functions that make the same images: by the expert, and by the package alone."""
    reference = _random_reference()
    with torch.device("meta"):
        network = DeepGenerator(CONFIG)
    network = network.to_empty(device="cpu")
    network.load_state_dict(reference.state_dict())
    expert = BigGAN(CONFIG.to_dict(), network)
    generator = torch.Generator().manual_seed(0)
    z, labels = (expert.draw(port, BATCH, generator=generator) for port in ("z", "label"))
    one_hot = torch.nn.functional.one_hot(labels, CONFIG.num_classes).float()
    embedding = expert.encode(labels, "class_embedding")
    assert isinstance(embedding, Tensor)
    latent = torch.cat([z, embedding], dim=1)
    return (
        lambda: expert.decode(latent, "latent", truncation=TRUNCATION),
        lambda: reference(TRUNCATION * z, one_hot, TRUNCATION),
    )


def _random_reference() -> Reference:
    """The package's network with an initialised output norm, which it leaves in whatever state memory was in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = Reference(BigGANConfig.from_dict(CONFIG.to_dict())).eval()
    reference.generator.bn.weight.fill_(1.0)
    reference.generator.bn.bias.fill_(0.0)
    for module in reference.modules():
        for hook in module._forward_pre_hooks.values():  # random u and v give no usable norm
            hook.compute_weight(module, do_power_iteration=True)
    return reference


def _measure(expert: Callable[[], Tensor], reference: Callable[[], Tensor]) -> dict[str, Any]:
    difference = (2 * expert() - 1 - reference()).abs().max().item()
    times: dict[str, list[float]] = {"expert": [], "reference": []}
    for pair in range(PAIRS):
        both = [("expert", expert), ("reference", reference)]
        for name, render in both if pair % 2 else reversed(both):
            times[name].append(_timed(render))
    ratios = [ours / theirs for ours, theirs in zip(times["expert"], times["reference"], strict=True)]
    ratio = statistics.median(ratios)
    return {
        "overhead_ratio": ratio,
        "overhead_quartiles": statistics.quantiles(ratios, n=4),
        "target": TARGET,
        "passed": ratio <= TARGET,
        "expert_cpu_seconds_per_image": statistics.median(times["expert"]) / BATCH,
        "reference_cpu_seconds_per_image": statistics.median(times["reference"]) / BATCH,
        "largest_difference": difference,
        "channel_width": CONFIG.channel_width,
        "resolution": CONFIG.output_dim,
        "batch": BATCH,
        "pairs": PAIRS,
    }


def _timed(render: Callable[[], Tensor]) -> float:
    started = process_time()
    render()
    return process_time() - started


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
