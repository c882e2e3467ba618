"""A plugin for tests of training: a generator, a captioner, an eye for images, translators that learn, a critic.

Two variables of the environment slow them down, so that they can be killed at work: ``TINY_STEP_SECONDS`` each step of
the method ``tiny-slow``, ``TINY_CAPTION_SECONDS`` each look of the captioner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from dragoman import (
    Critic,
    CriticCard,
    ExpertCard,
    MethodCard,
    Port,
    Tokens,
    Translator,
    TranslatorCard,
    hookimpl,
)
from dragoman.catalogue import Plugin
from dragoman.representation import Representation, randn_rows
from dragoman.training.paired import Paired
from tiny_zoo.parts import TinyExpert, TinyImage, TinyText

HERE = "tiny_zoo.training"
TEXT = {"hidden": 6}
WORDS = ("dark", "dim", "bright", "plain", "striped")


def plugin() -> Plugin:
    """The distribution that brings this plugin, for the zoo of one test."""
    return Plugin("tiny-training", "dragoman-tiny-training", "0.1")


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    z = Port("z", "vector", ("latent",), takes=True)
    label = Port("label", "label", (), dtype="int64", takes=True)
    caption = Port("caption", "text", gives=True)
    seen = Port("seen", "vector", (3,), gives=True)
    register(ExpertCard("tiny-generator", f"{HERE}:TinyGenerator", "", (z, label), captioner="tiny-captioner"))
    register(ExpertCard("tiny-captioner", f"{HERE}:TinyCaptioner", "", (caption,)))
    register(ExpertCard("tiny-eye", f"{HERE}:TinyEye", "", (seen,)))


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    register(TranslatorCard("tiny-learner", f"{HERE}:TinyLearner", ""))
    register(TranslatorCard("tiny-torn", f"{HERE}:TinyTorn", ""))
    register(TranslatorCard("tiny-reader", f"{HERE}:TinyReader", "", takes=("tokens",)))


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    register(CriticCard("tiny-scatter", f"{HERE}:TinyScatter", ""))


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    register(MethodCard("tiny-slow", f"{HERE}:Slow", ""))


class TinyGenerator(TinyImage):
    """Standard normal vectors to images; also takes a label, which nothing can translate to."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        label = Port("label", "label", (), dtype="int64", takes=True)
        return {**super().describe(config), "label": label}

    def draw(self, port: str, n: int, *, generator: torch.Generator, **knobs: Any) -> Tensor:
        return randn_rows(n, self.config["latent"], generator)


class TinyCaptioner(TinyExpert):
    """Images to two words: how bright they are, and one that is drawn."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        return {"caption": Port("caption", "text", gives=True)}

    def encode(self, inputs: Tensor, port: str, *, generator: torch.Generator | None = None) -> list[str]:
        level = (inputs.flatten(1).mean(1) * 10 + self.weight[0]).int().clamp(0, 9).tolist()
        time.sleep(float(os.environ.get("TINY_CAPTION_SECONDS", "0")))
        drawn = [int(torch.randint(len(WORDS), (), generator=generator)) for _ in level]
        return [f"level {bright} {WORDS[word]}" for bright, word in zip(level, drawn, strict=True)]


class TinyEye(TinyExpert):
    """Images to the mean of each channel: an expert that does not read."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        return {"seen": Port("seen", "vector", (3,), gives=True)}

    def encode(self, inputs: Tensor, port: str, *, generator: torch.Generator | None = None) -> Tensor:
        return self.weight * inputs.mean(dim=(2, 3))


class TinyLearner(Translator):
    """A Gaussian whose mean is a small network's, with a learnt scale, dropout, and a running mean in a buffer."""

    center: Tensor

    def __init__(self, condition: int, target: int, width: int = 16, dropout: float = 0.1) -> None:
        super().__init__({"condition": condition, "target": target, "width": width, "dropout": dropout})
        hidden = nn.Linear(condition, width)
        self.layers = nn.Sequential(hidden, nn.BatchNorm1d(width), nn.Dropout(dropout), nn.Linear(width, target))
        self.scale = nn.Parameter(torch.zeros(target))
        self.register_buffer("center", torch.zeros(target))

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        return cls(source.shape[-1], target.shape[-1], **options)  # type: ignore[arg-type]

    def initialize(self, target: Tensor, condition: Representation, atoms: Any = None) -> None:
        self.center.copy_(target.mean(0))

    def mean(self, condition: Representation) -> Tensor:
        assert isinstance(condition, Tensor)
        mean: Tensor = self.layers(condition) + self.center
        return mean

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        v = (target - self.mean(condition)) * torch.exp(-self.scale)
        return {"nll": 0.5 * v.square().sum(1) + self.scale.sum()}

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        mean = self.mean(condition)
        noise = randn_rows(len(mean), mean.shape[1], generator).to(mean)
        return mean + temperature * torch.exp(self.scale) * noise


class TinyTorn(TinyLearner):
    """One that two losses pull in two directions: to the target, and to zero."""

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        mean = self.mean(condition)
        return {"far": (target - mean).square().sum(1), "large": mean.square().sum(1)}


class TinyReader(TinyLearner):
    """The same for sequences: the mean of the tokens is the condition."""

    def mean(self, condition: Representation) -> Tensor:
        assert isinstance(condition, Tokens)
        return super().mean(condition.values.sum(1) / condition.mask.sum(1, keepdim=True))


class TinyScatter(Critic):
    """A critic without weights that wants the pixels of an image to differ."""

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        return {"flat": -outputs.flatten(1).var(dim=1)}


class Slow(Paired):
    """Training on pairs that takes a moment for each step, so that it can be killed in between."""

    def forward(self, phase: str, batch: Any, generator: torch.Generator) -> Any:
        time.sleep(float(os.environ.get("TINY_STEP_SECONDS", "0")))
        return super().forward(phase, batch, generator)


def write_experts(folder: Path, seed: int = 0) -> None:
    """Checkpoints ``text``, ``generator``, ``captioner`` and ``eye``."""
    generator = torch.Generator().manual_seed(seed)
    TinyText(TEXT, torch.randn(256, 6, generator=generator)).save_pretrained(folder / "text")
    TinyGenerator({"latent": 5}, 0.3 * torch.randn(5, 192, generator=generator)).save_pretrained(folder / "generator")
    TinyCaptioner({}, torch.zeros(1)).save_pretrained(folder / "captioner")
    TinyEye({}, torch.ones(3)).save_pretrained(folder / "eye")
