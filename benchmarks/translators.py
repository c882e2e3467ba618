"""cinn, flow-matching and diffusion-prior on one task: MiniLM's sentence embedding to the mini BigGAN's latent.

The same pairs and as many CPU seconds of training for each. Then, on held-out pairs, the likelihood where there is one;
on captions in unseen words, class and attributes by the judge and by measurement, and variety; and the CPU time of a
sample at several settings, of which "equal consistency" takes the cheapest that is as right as the least right of the
three at its best. ``python -m benchmarks.translators --seconds 240`` trains for another budget.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.pairs import GeneratedPairs, build_store
from dragoman.pairs.split import TrainingPart
from dragoman.plugins import zoo
from dragoman.training.paired import Paired
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman.translator import Translator
from dragoman_minizoo.evaluating import held_out_prompts, make_jury
from dragoman_minizoo.prompts import Prompts

PAIRS, HELD_OUT, SECONDS = 65536, 512, 40.0
PROMPTS, EACH = 300, 2
#: Options and the learning rate of each; widths are chosen for steps of about equal time.
WAYS: dict[str, tuple[dict[str, Any], float]] = {
    "cinn": ({"depth": 2, "ridges": 12}, 3e-3),
    "flow-matching": ({"width": 256, "depth": 4}, 2e-3),
    "diffusion-prior": ({"width": 128, "depth": 3}, 1e-3),
}
#: Settings of sampling, cheapest first; the last is what figures are measured at.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "cinn": [{}],
    "flow-matching": [
        *({"num_inference_steps": steps, "method": "euler"} for steps in (1, 2, 4, 8)),
        {"num_inference_steps": 8, "method": "midpoint"},
    ],
    "diffusion-prior": [
        *({"num_inference_steps": steps, "draws": 1} for steps in (2, 4, 8, 16)),
        {"num_inference_steps": 16, "draws": 2},
    ],
}
#: Held-out pairs of which a likelihood is computed; an integrated one is expensive.
LIKELY = 64


class Task(NamedTuple):
    pairs: TrainingPart
    target: Endpoint
    prompts: dict[str, Prompts]
    conditions: dict[str, Tensor]


def run(seconds: float = SECONDS) -> dict[str, Any]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(Path(folder))
        found = {name: measure(name, task, seconds, Path(folder)) for name in WAYS}
    return {"cpu_seconds_of_training": seconds, "ways": found, "equal_consistency": equal(found)}


def prepare(folder: Path) -> Task:
    source = Endpoint.load(EndpointSpec.parse("bert:pooled"), giving=True)
    target = Endpoint.load(EndpointSpec.parse("biggan-fashion:latent"), giving=False)
    supply = GeneratedPairs(source, target, load_expert("captioner-fashion"), 1.3)
    pairs = TrainingPart(build_store(folder, supply, PAIRS, 0), HELD_OUT)
    prompts = held_out_prompts(PROMPTS)
    return Task(pairs, target, prompts, {tier: encoded(source, asked) for tier, asked in prompts.items()})


def encoded(source: Endpoint, asked: Prompts) -> Tensor:
    vectors = source.encode(asked.captions)
    assert isinstance(vectors, Tensor)
    return vectors


def measure(name: str, task: Task, seconds: float, folder: Path) -> dict[str, Any]:
    translator, steps = train(name, task, seconds, folder / name)
    settings = [judge(translator, task, chosen) for chosen in SETTINGS[name]]
    return {
        "parameters": sum(weight.numel() for weight in translator.parameters()),
        "steps": steps,
        **likelihood(translator, task),
        "settings": settings,
    }


def train(name: str, task: Task, seconds: float, folder: Path) -> tuple[Translator, int]:
    """Train for so many CPU seconds; the number of steps comes from timing a few."""
    few, more = (process_time_of(name, task, steps, folder)[1] for steps in (3, 13))
    steps = max(1, int(10 * seconds / (more - few)))
    return process_time_of(name, task, steps, folder)[0], steps


def process_time_of(name: str, task: Task, steps: int, folder: Path) -> tuple[Translator, float]:
    options, rate = WAYS[name]
    port = task.target.port
    first = task.pairs.batch(4096, generator_for(0, "initialize"))
    translator: Translator = (
        zoo()
        .translators[name]
        .load()
        .build(Endpoint.load(EndpointSpec.parse("bert:pooled"), giving=True).port, port, seed=0, **options)
    )
    assert isinstance(first["target"], Tensor)
    translator.initialize(first["target"], first["condition"], task.target.expert.atoms(port.name))
    settings = Settings(steps=steps, batch_size=256, ema_decay=0.995, precision="auto", checkpoint_every=10**6)
    method = Paired(translator, condition_noise=0.12, learning_rate=rate)
    trainer = Trainer(method, task.pairs, settings, folder, device="cpu")
    started = time.process_time()
    trainer.run()
    return translator.eval(), time.process_time() - started


@torch.no_grad()
def likelihood(translator: Translator, task: Task) -> dict[str, float]:
    log_prob = getattr(translator, "log_prob", None)
    if log_prob is None:
        return {}
    held_out = task.pairs.validation(LIKELY)
    started = time.process_time()
    nats = float(log_prob(held_out["target"], held_out["condition"]).mean())
    return {"log_prob_nats": nats, "ms_per_log_prob": 1e3 * (time.process_time() - started) / LIKELY}


@torch.no_grad()
def judge(translator: Translator, task: Task, chosen: dict[str, Any]) -> dict[str, Any]:
    jury, found, spent, made = make_jury(), {}, 0.0, 0
    for tier, asked in task.prompts.items():
        condition = task.conditions[tier].repeat_interleave(EACH, dim=0)
        started = time.process_time()
        latent = translator.sample(condition, generator=generator_for(0, "evaluation"), **chosen)
        spent, made = spent + time.process_time() - started, made + len(latent)
        images = torch.cat([task.target.expert.decode(part, "latent") for part in latent.split(512)])
        judged = jury.judge_images(images, asked)
        found[tier] = {
            "class": judged.class_accuracy,
            "attributes": judged.attribute_accuracy,
            "diversity": judged.diversity_ratio,
        }
    return {"knobs": chosen, "ms_per_sample": 1e3 * spent / made, **found}


def consistency(setting: dict[str, Any]) -> float:
    """Mean of class and attribute accuracy over the tiers."""
    tiers = [value for value in setting.values() if isinstance(value, dict) and "class" in value]
    return float(sum(tier["class"] + tier["attributes"] for tier in tiers) / (2 * len(tiers)))


def equal(found: dict[str, Any]) -> dict[str, Any]:
    """The cheapest setting of each way that is at least as right as the least right of the ways at its best."""
    goal = min(max(consistency(setting) for setting in way["settings"]) for way in found.values())
    chosen = {}
    for name, way in found.items():
        enough = [setting for setting in way["settings"] if consistency(setting) >= goal - 1e-9]
        cheapest = min(enough, key=lambda setting: setting["ms_per_sample"])
        chosen[name] = {"knobs": cheapest["knobs"], "ms_per_sample": cheapest["ms_per_sample"]}
    return {"consistency": goal, **chosen}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU seconds of training for each")
    print(json.dumps(run(parser.parse_args().seconds), indent=2))
