"""The default cinn against the published architecture with its published optimiser, at 268 dimensions.

Both learn the same conditional density, a stand-in for "sentence embedding of 768 numbers to generator latent of 268".
Measured in CPU seconds of one thread: the time to reach the held-out likelihood that the published one reaches in its
budget, and the time of a sample. The published network is restated here from Rombach, Esser and Ommer 2020
(arXiv:2005.13580, supplement): 24 blocks of ActNorm, double coupling with four separate networks of width 1024, and a
fixed permutation; a condition embedder with batch normalisation; Adam(0.5, 0.9) with AMSGrad, rate 4.5e-6 times the
batch of 16.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dragoman.ports import Port
from dragoman_cinn.memory import training_memory
from dragoman_cinn.translator import CINN

TARGET, CONDITION, HIDDEN = 268, 768, 24
PUBLISHED_BATCH, OUR_BATCH = 16, 256
HELD_OUT = 256
#: CPU seconds of each training.
BUDGET = 60.0

Draw: TypeAlias = Callable[[int], tuple[Tensor, Tensor]]
#: CPU seconds spent in steps, and the held-out negative log-likelihood in nats.
Curve: TypeAlias = list[tuple[float, float]]


class PublishedBlock(nn.Module):
    order: Tensor

    def __init__(self, embedding: int) -> None:
        super().__init__()
        half = TARGET // 2
        self.loc, self.scale = nn.Parameter(torch.zeros(TARGET)), nn.Parameter(torch.ones(TARGET))
        self.s = nn.ModuleList(mlp([half + embedding, 1024, 1024, 1024, half], nn.Tanh()) for _ in range(2))
        self.t = nn.ModuleList(mlp([half + embedding, 1024, 1024, 1024, half]) for _ in range(2))
        self.register_buffer("order", torch.randperm(TARGET))

    def forward(self, x: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        x = self.scale * (x + self.loc)
        log_det = self.scale.abs().log().sum()
        kept, moved = x.chunk(2, dim=1)
        for s, t in zip(self.s, self.t, strict=True):
            joined = torch.cat([kept, embedded], dim=1)
            scale = s(joined)
            kept, moved = moved * scale.exp() + t(joined), kept
            log_det = log_det + scale.sum(dim=1)
        return torch.cat([kept, moved], dim=1)[:, self.order], log_det

    def inverse(self, y: Tensor, embedded: Tensor) -> Tensor:
        kept, moved = y[:, self.order.argsort()].chunk(2, dim=1)
        for s, t in zip(reversed(self.s), reversed(self.t), strict=True):
            joined = torch.cat([moved, embedded], dim=1)
            kept, moved = moved, (kept - t(joined)) * (-s(joined)).exp()
        return torch.cat([kept, moved], dim=1) / self.scale - self.loc


class Published(nn.Module):
    def __init__(self, embedding: int = TARGET) -> None:
        super().__init__()
        widths = [CONDITION, 256, 256, 256]
        layers = [
            part
            for before, after in pairwise(widths)
            for part in (nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(0.01))
        ]
        self.embedder = nn.Sequential(*layers, nn.Linear(256, embedding))
        self.blocks = [PublishedBlock(embedding) for _ in range(24)]
        self.registered = nn.ModuleList(self.blocks)

    @torch.no_grad()
    def initialize(self, x: Tensor, condition: Tensor) -> None:
        embedded = self.embedder(condition)
        for block in self.blocks:
            block.loc.copy_(-x.mean(dim=0))
            block.scale.copy_(1 / (x.std(dim=0) + 1e-6))
            x, _ = block(x, embedded)

    def nll(self, x: Tensor, condition: Tensor) -> Tensor:
        embedded, log_det = self.embedder(condition), torch.zeros(len(x))
        for block in self.blocks:
            x, step = block(x, embedded)
            log_det = log_det + step
        return 0.5 * (x.square().sum(dim=1) + TARGET * math.log(2 * math.pi)) - log_det

    def sample(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        x, embedded = torch.randn(len(condition), TARGET, generator=generator), self.embedder(condition)
        for block in reversed(self.blocks):
            x = block.inverse(x, embedded)
        return x


def mlp(sizes: list[int], last: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers[:-1], *([last] if last else []))


def pairs(generator: torch.Generator) -> Draw:
    """Hidden causes that the condition tells and that move, stretch and bend the target."""

    def weights(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / math.sqrt(shape[0])

    says, again, moves, stretches = weights(HIDDEN, 256), weights(256, CONDITION), weights(HIDDEN, 64), weights(64, 268)
    scales, mixes = weights(HIDDEN, TARGET), weights(TARGET, TARGET)

    def draw(rows: int) -> tuple[Tensor, Tensor]:
        causes = torch.randn(rows, HIDDEN, generator=generator)
        condition = torch.tanh(causes @ says) @ again
        noise = torch.randn(rows, TARGET, generator=generator) * (0.5 * causes @ scales).exp()
        target = 2 * torch.tanh(2 * causes @ moves) @ stretches + torch.asinh(1.5 * noise @ mixes)
        return target, condition

    return draw


class Store:
    """Pairs made beforehand, as a fusion makes them: what is timed is training alone."""

    def __init__(self, draw: Draw, rows: int, generator: torch.Generator) -> None:
        self.columns, self.generator = draw(rows), generator

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(self.columns[0]), (size,), generator=self.generator)
        return self.columns[0][rows], self.columns[1][rows]


def train(
    step: Callable[[], None], held_out: Callable[[], float], seconds: float, every: float, until: float = -math.inf
) -> Curve:
    """Train until the seconds are spent or the likelihood is reached; the evaluation is not counted."""
    spent = 0.0
    curve: Curve = []
    while spent < seconds and (not curve or curve[-1][1] > until):
        goal = spent + every
        while spent < goal:
            started = time.process_time()
            step()
            spent += time.process_time() - started
        curve.append((spent, held_out()))
    return curve


def train_published(model: Published, store: Store, test: tuple[Tensor, Tensor]) -> Curve:
    optimizer = torch.optim.Adam(model.parameters(), 4.5e-6 * PUBLISHED_BATCH, betas=(0.5, 0.9), amsgrad=True)

    def step() -> None:
        loss = model.nll(*store.batch(PUBLISHED_BATCH)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def held_out() -> float:
        with torch.no_grad():
            value = model.eval().nll(*test).mean().item()
        model.train()
        return value

    return train(step, held_out, BUDGET, every=BUDGET / 5)


def train_ours(model: CINN, store: Store, test: tuple[Tensor, Tensor], until: float) -> Curve:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: min(1.0, (done + 1) / 20))

    def step() -> None:
        loss = model.losses(*store.batch(OUR_BATCH))["nll"].mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        warm_up.step()

    def held_out() -> float:
        with torch.no_grad():
            return -model.log_prob(*test).mean().item()

    # Every round is one step: as soon as the likelihood is reached, the clock stops.
    return train(step, held_out, BUDGET, every=1e-9, until=until)


def seconds_per_sample(sample: Callable[[], Tensor], trials: int = 3) -> float:
    times = []
    with torch.no_grad():
        rows = len(sample())
        for _ in range(trials):
            started = time.process_time()
            sample()
            times.append(time.process_time() - started)
    return sorted(times)[trials // 2] / rows


def measure_published(store: Store, test: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Any]:
    torch.manual_seed(0)
    model = Published()
    model.initialize(*store.batch(1024))
    curve = train_published(model, store, test)
    model.eval()
    return {
        "curve": curve,
        "seconds": curve[-1][0],
        "nats": curve[-1][1],
        "ms_per_sample": 1e3 * seconds_per_sample(lambda: model.sample(test[1][:64], generator)),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def measure_ours(
    model: CINN, store: Store, test: tuple[Tensor, Tensor], generator: torch.Generator, goal: float
) -> dict[str, Any]:
    started = time.process_time()
    model.initialize(*store.batch(1024))
    initialisation = time.process_time() - started
    curve = train_ours(model, store, test, goal)
    return {
        "seconds": initialisation + curve[-1][0],
        "steps": len(curve),
        "nats": curve[-1][1],
        "ms_per_sample": 1e3 * seconds_per_sample(lambda: model.sample(test[1][:64], generator=generator)),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def measure() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    draw = pairs(generator)
    store, test = Store(draw, 20_000, generator), draw(HELD_OUT)
    source, target = Port("sentence", "vector", (CONDITION,)), Port("latent", "vector", (TARGET,))
    model = CINN.build(source, target, seed=0)
    with torch.device("meta"):
        paper = CINN.build(source, target, size="paper")
    memory = {
        "published": training_memory(paper, PUBLISHED_BATCH, moments=3).total,
        "ours": training_memory(model, OUR_BATCH).total,
    }
    published = measure_published(store, test, generator)
    ours = measure_ours(model, store, test, generator, published["nats"])
    return {
        "training_time_ratio": published["seconds"] / ours["seconds"],
        "sampling_time_ratio": published["ms_per_sample"] / ours["ms_per_sample"],
        "training_memory_bytes": memory,
        "published": published,
        "ours": ours,
    }


def run() -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure()
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
