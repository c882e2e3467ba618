"""Tiny fusions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.fusion import Fusion
from tiny_zoo.parts import TinyGaussian

RECIPE = {"steps": 3, "seed": 7, "from": "tiny-text:pooled", "to": "tiny-image:z"}


def build_fusion(
    text: str | Path,
    image: str | Path,
    *,
    port: str = "pooled",
    ranker: Critic | None = None,
    ranker_name: str = "",
    **facts: Any,
) -> Fusion:
    """A fusion of two checkpoints, with a translator of random weights."""
    source = Endpoint.load(EndpointSpec("tiny-text", str(text), port), giving=True)
    target = Endpoint.load(EndpointSpec("tiny-image", str(image)), giving=False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        translator = TinyGaussian.build(source.port, target.port)
    names = {"translator": "tiny-gaussian"} | ({"ranker": ranker_name} if ranker is not None else {})
    return Fusion(source, translator, target, ranker=ranker, names=names, facts={"recipe": RECIPE, **facts})
