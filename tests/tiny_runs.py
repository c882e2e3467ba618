"""Small methods for tests of the trainer, and what is asked of their runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dragoman.training import Batch, Losses, Method, Phase, Settings, Trainer

SIZE = 8


class Points:
    """Inputs, and targets that depend on them."""

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randn(size, 4, generator=generator)
        return {"x": x, "y": x.sum(1, keepdim=True)}


class Regression(Method):
    """Whatever makes a resume inexact if it is forgotten: momentum, batch statistics, dropout, noise."""

    def __init__(self, seed: int = 0, **phase: Any) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 1)
            )
        self.network.register_buffer("calls", torch.tensor(0), persistent=False)
        self.phase = phase
        self.before: Callable[[int], None] = lambda call: None
        self.change: Callable[[Losses], Losses] = lambda losses: losses

    def phases(self) -> list[Phase]:
        return [Phase("fit", list(self.network.parameters()), **{"learning_rate": 0.01, **self.phase})]

    def trained(self) -> nn.Module:
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        self.before(int(self.network.calls))
        self.network.calls += 1
        noise = 0.1 * torch.randn(batch["x"].shape, generator=generator)
        error = (self.network(batch["x"] + noise) - batch["y"]).squeeze(1)
        return self.change({"square": error.square(), "size": 1e-3 * error.abs()})


def settings(**changed: Any) -> Settings:
    return Settings(**{"steps": 12, "batch_size": SIZE, "checkpoint_every": 4, "log_every": 1, **changed})


def trainer(folder: Path, method: Method | None = None, **changed: Any) -> Trainer:
    return Trainer(method or Regression(), Points(), settings(**changed), folder, device="cpu")


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def killed_at(call: int) -> Callable[[int], None]:
    """End the run as a kill would, which writes no checkpoint."""

    def end(now: int) -> None:
        if now == call:
            raise SystemExit

    return end


def killed_run(folder: Path, call: int = 10, **changed: Any) -> None:
    method = Regression()
    method.before = killed_at(call)
    with pytest.raises(SystemExit):
        trainer(folder, method, **changed).run()


class Adversarial(Method):
    """Two players, and a lazy penalty on the first, each with one number that its losses move by known amounts."""

    def __init__(self, **penalty: Any) -> None:
        super().__init__()
        self.players = nn.ModuleDict({"critic": nn.Linear(1, 1, bias=False), "maker": nn.Linear(1, 1, bias=False)})
        for player in self.players.values():
            nn.init.constant_(player.weight, 1.0)
        self.penalty = {"every": 3, "shares": "critic", "weights": {"penalty": 0.0}, **penalty}
        self.record: list[tuple[str, bool, bool, float, float]] = []

    def phases(self) -> list[Phase]:
        common: dict[str, Any] = {"learning_rate": 0.1, "schedule": "constant"}
        critic, maker = (list(self.players[name].parameters()) for name in ("critic", "maker"))
        return [
            Phase("critic", critic, **common),
            Phase("penalty", critic, **{**common, **self.penalty}),
            Phase("maker", maker, **common),
        ]

    def trained(self) -> nn.Module:
        return self.players

    def averaged(self) -> nn.Module:
        return self.players["maker"]

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        critic, maker = (self.players[name].weight for name in ("critic", "maker"))
        self.record.append((phase, critic.requires_grad, maker.requires_grad, critic.item(), maker.item()))
        one = torch.ones(len(batch["x"]))
        # Everything depends on both players: only the phase decides who moves.
        return {phase: one * (critic * maker).squeeze()}
