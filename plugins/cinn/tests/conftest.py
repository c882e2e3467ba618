"""Small translators, with weights far from their initial zeros so that nothing holds by accident."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from dragoman.ports import Port
from dragoman_cinn.conditioner import Conditioner, ResidualConditioner
from dragoman_cinn.flow import ConditionalFlow
from dragoman_cinn.ridge import RidgeMaps
from dragoman_cinn.translator import CINN

SMALL = {"depth": 2, "width": 16, "embedding": 8, "embedder_width": 12, "embedder_layers": 1, "seed": 3}


def vector(size: int) -> Port:
    return Port("vector", "vector", (size,))


def scramble(module: nn.Module, scale: float = 1.0, seed: int = 5) -> None:
    """Random weights everywhere, the zero-initialised layers included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 100
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator) / max(fan_in, 1) ** 0.5)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(name="scramble")
def scramble_fixture() -> Callable[..., None]:
    return scramble


@pytest.fixture
def make_flow() -> Callable[..., ConditionalFlow]:
    """Builds a small scrambled flow given a condition of size 4."""

    def make(
        size: int,
        depth: int = 3,
        kind: type[Conditioner] = ResidualConditioner,
        width: int = 16,
        scale: float = 1.0,
        ridges: int = 2,
    ) -> ConditionalFlow:
        conditioner = partial(kind, condition=4, width=width, layers=1)
        maps = RidgeMaps(size, 4, ridges, 2.0) if ridges else None
        flow = ConditionalFlow(size, depth, conditioner, 2.0, torch.Generator().manual_seed(1), maps)
        scramble(flow, scale)
        return flow

    return make


@pytest.fixture
def make_cinn() -> Callable[..., CINN]:
    """Builds a small scrambled cINN between two ports."""

    def make(source: Port | None = None, target: int = 5, **options: object) -> CINN:
        translator = CINN.build(source or vector(6), vector(target), **{**SMALL, **options})
        scramble(translator, 0.7)
        return translator

    return make
