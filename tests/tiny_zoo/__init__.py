"""A plugin for tests: experts, a translator and critics of a few hundred weights, and their checkpoints."""

from __future__ import annotations

from collections.abc import Callable

from dragoman import CriticCard, ExpertCard, Port, TranslatorCard, hookimpl


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    pooled = Port("pooled", "vector", ("hidden",), gives=True)
    register(ExpertCard("tiny-text", "tiny_zoo.parts:TinyText", "Mean of byte vectors", (pooled,), licence="mit"))
    z = Port("z", "vector", ("latent",), takes=True)
    register(ExpertCard("tiny-image", "tiny_zoo.parts:TinyImage", "One linear layer", (z,), licence="apache-2.0"))


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    register(TranslatorCard("tiny-gaussian", "tiny_zoo.parts:TinyGaussian", "Gaussian with a linear mean"))


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    register(CriticCard("tiny-brightness", "tiny_zoo.parts:TinyBrightness", "Mean of the pixels"))
    register(CriticCard("tiny-judge", "tiny_zoo.parts:TinyJudge", "One linear layer"))
