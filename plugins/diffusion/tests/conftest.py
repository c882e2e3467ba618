"""Small translators; scrambled, so that nothing holds only because a layer begins at zero."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dragoman.ports import Port
from dragoman.representation import Tokens
from dragoman_diffusion.diffusion import Diffusion
from dragoman_diffusion.flow_matching import FlowMatching
from dragoman_diffusion.prior import DiffusionPrior

SMALL = {"width": 16, "depth": 2, "embedding": 8, "embedder_width": 12, "embedder_layers": 1, "seed": 3}
TINY = {"widths": [8, 16], "layers": [1, 1], "attends": [False, True], "head": 8, "text_width": 8}
TOKENS = Port("tokens", "tokens", ("length", 6))


def vector(size: int, normalisation: str = "") -> Port:
    return Port("vector", "vector", (size,), normalisation=normalisation)


def image(side: int) -> Port:
    return Port("image", "image", (1, side, side))


def scramble(module: nn.Module, scale: float = 1.0, seed: int = 5) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 100
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator) / max(fan_in, 1) ** 0.5)


def texts(rows: int, seed: int = 1, longest: int = 5) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(longest) < torch.randint(1, longest + 1, (rows, 1), generator=generator)
    return Tokens(torch.randn(rows, longest, 6, generator=generator) * mask[..., None], mask)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(name="texts")
def texts_fixture() -> Callable[..., Tokens]:
    return texts


@pytest.fixture(params=[FlowMatching, DiffusionPrior])
def make_vectors(request) -> Callable[..., FlowMatching | DiffusionPrior]:
    """Builds a small scrambled translator of either kind between two vector ports."""

    def make(source: Port | None = None, target: Port | None = None, **options: object):
        translator = request.param.build(source or vector(6), target or vector(5), **{**SMALL, **options})
        scramble(translator, 0.3)
        return translator

    return make


@pytest.fixture
def make_diffusion() -> Callable[..., Diffusion]:
    """Builds a small scrambled diffusion of 8 x 8 images."""

    def make(side: int = 8, source: Port = TOKENS, **options: object) -> Diffusion:
        torch.manual_seed(1)
        translator = Diffusion.build(source, image(side), **{**TINY, **options})
        scramble(translator, 0.3)
        return translator

    return make
