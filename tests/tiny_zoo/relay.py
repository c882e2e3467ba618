"""The class behind the cards of ``tiny_relay``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman import Port
from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.fusion import Fusion
from dragoman.representation import Representation
from tiny_zoo.parts import TinyExpert, TinyGaussian


class TinyRelay(TinyExpert):
    """Images to codes, and codes to images of 8 by 8 pixels."""

    reads = "image"

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        return {
            "code": Port("code", "vector", (config["code"],), gives=True, takes=True),
            "other": Port("other", "vector", (config["code"],), gives=True, takes=True),
        }

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """A test has no pictures at hand; what it gives stands for one."""
        return torch.stack([self.weight.mean(1) * len(text) for text in inputs])

    def decode(self, representation: Representation, port: str, **knobs: Any) -> Tensor:
        assert isinstance(representation, Tensor)
        return (representation @ self.weight).view(-1, 3, 8, 8).sigmoid()


def write_relay(folder: Path, seed: int = 0) -> Path:
    """A checkpoint with random weights."""
    TinyRelay({"code": 4}, torch.randn(4, 192, generator=torch.Generator().manual_seed(seed))).save_pretrained(folder)
    return folder


def save_leg(source: str, target: str, folder: Path, seed: int = 0) -> str:
    """Save a fusion of two endpoints, with a translator of random weights; its address."""
    ends = (
        Endpoint.load(EndpointSpec.parse(source), giving=True),
        Endpoint.load(EndpointSpec.parse(target), giving=False),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        translator = TinyGaussian.build(ends[0].port, ends[1].port)
    Fusion(ends[0], translator, ends[1], names={"translator": "tiny-gaussian"}).save_pretrained(folder)
    return str(folder)
