"""Time per training step with critics against without, and probing a bank of five experts over 10,000 images."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.generator import Generator
from dragoman_timm.architecture import build_network
from dragoman_timm.expert import Timm
from dragoman_vision_aided.bank import Member
from dragoman_vision_aided.critic import VisionAided
from dragoman_vision_aided.features import FeatureCache
from dragoman_vision_aided.probe import probe
from dragoman_vision_aided.study.critics import BANK, configuration

IMAGES, BATCH, TRIALS, FEW, REPEATS = 10_000, 16, 6, 3, 3
WIDTHS, W = (64, 64, 32, 16), 64


class Noise:
    def batch(self, size: int, generator: torch.Generator) -> dict[str, Any]:
        return {"image": torch.rand(size, 1, 32, 32, generator=generator)}


def experts() -> list[tuple[str, Timm, tuple[str, ...]]]:
    """Those of the study, and one more with other weights; times do not depend on training."""
    found: list[tuple[str, Timm, tuple[str, ...]]] = []
    for name, (_, architecture, options, taps) in [*BANK.items(), *list(BANK.items())[:1]]:
        config = configuration(architecture, options, classes=10)
        expert = Timm(config, build_network(config)).freeze()
        found.append((f"{name}-{len(found)}", expert, tuple(taps.split("+"))))
    return found


def step_seconds(critics: list[VisionAided], folder: Path) -> float:
    generator = Generator(GeneratorConfig(32, WIDTHS, 1, 0, 2, z_dim=W, w_dim=W))
    discriminator = Discriminator(DiscriminatorConfig(32, WIDTHS, 1, 0, 2, cmap_dim=W))
    method = AdversarialStyleGAN2(generator, discriminator, critics)
    trainer = Trainer(method, Noise(), Settings(steps=100, batch_size=BATCH), folder, device="cpu")
    trainer.seconds_per_step(1)
    return trainer.seconds_per_step(TRIALS)


def probe_bank(bank: list[Member], cache: FeatureCache) -> dict[str, float]:
    draw = generator_for(0, "images")
    sets = [torch.randint(0, high, (IMAGES, 1, 32, 32), generator=draw, dtype=torch.uint8) for high in (256, 250)]
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    seen = [[member.features(images, cache) for images in sets] for member in bank]
    seconds["features_seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    for member in bank:
        for images in sets:
            member.features(images, cache)
    seconds["cached_features_seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    for real, fake in seen:
        probe(real, fake, generator=generator_for(0, "probe"), repeats=REPEATS)
    seconds["probe_seconds"] = time.perf_counter() - started
    return seconds


def run() -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found, place = experts(), Path(folder)
            critics = [VisionAided(expert, name, taps, width=64) for name, expert, taps in found[:FEW]]
            steps = {str(count): step_seconds(critics[:count], place) for count in range(FEW + 1)}
            bank = [Member(name, name, expert, taps) for name, expert, taps in found]
            return {
                "seconds_per_step_by_critics": steps,
                "slowdown_by_critics": {count: value / steps["0"] for count, value in steps.items()},
                "bank": {"experts": len(bank), "images": 2 * IMAGES} | probe_bank(bank, FeatureCache(place / "cache")),
            }
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
