"""Condition embedders: any representation at a source port to one vector per sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.errors import InputError, PortError
from dragoman.ports import Port
from dragoman.representation import Representation, Tokens
from dragoman_cinn.standardizer import Standardizer

__all__ = ["Embedder", "SpatialEmbedder", "TokenEmbedder", "VectorEmbedder", "build_embedder", "describe_condition"]

#: Learned queries of the attention that pools tokens.
POOLING_HEADS = 4
#: Side of the feature map that a spatial condition is reduced to before it is flattened.
POOLED_SIDE = 4


class Embedder(nn.Module):
    """Base of the embedders: standardises a condition and embeds it.

    Args:
        features: number of features that are standardised (vector or token size, channels).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.standardizer = Standardizer(features)

    def initialize(self, condition: Representation) -> None:
        """Measure the statistics of a batch of conditions."""
        self.standardizer.measure(self.rows(condition))

    def rows(self, condition: Representation) -> Tensor:
        """Everything in the batch that is standardised, ``[N, features]``."""
        raise NotImplementedError

    def forward(self, condition: Representation) -> Tensor:
        """The embedded condition ``[B, E]``.

        Raises:
            InputError: the condition is not of the kind and size that the embedder was built for.
        """
        raise NotImplementedError


class VectorEmbedder(Embedder):
    """A LayerNorm network on vectors ``[B, C]``.

    Args:
        features: size C of the condition.
        width: width of the hidden layers.
        layers: number of hidden layers.
        out: size E of the result.
    """

    def __init__(self, features: int, width: int, layers: int, out: int) -> None:
        super().__init__(features)
        self.network = _network(features, width, layers, out)

    def rows(self, condition: Representation) -> Tensor:
        """The vectors themselves."""
        if not isinstance(condition, Tensor) or condition.shape[1:] != (self.features,):
            raise InputError(f"The condition must be a tensor [B, {self.features}], not {_describe(condition)}.")
        return condition.to(self.standardizer.mean)

    def forward(self, condition: Representation) -> Tensor:
        """``[B, C]`` to ``[B, E]``."""
        embedded: Tensor = self.network(self.standardizer(self.rows(condition)))
        return embedded


class TokenEmbedder(Embedder):
    """Masked attention pooling with a few learned queries, then a LayerNorm network; padding has no influence.

    Args:
        features: size C of a token.
        width: width of the hidden layers.
        layers: number of hidden layers.
        out: size E of the result.
    """

    def __init__(self, features: int, width: int, layers: int, out: int) -> None:
        super().__init__(features)
        self.norm = nn.LayerNorm(features)
        self.scores = nn.Linear(features, POOLING_HEADS)
        self.network = _network(POOLING_HEADS * features, width, layers, out)

    def rows(self, condition: Representation) -> Tensor:
        """The tokens inside the masks."""
        values, mask = self._checked(condition)
        return values[mask]

    def forward(self, condition: Representation) -> Tensor:
        """Tokens ``[B, T, C]`` to ``[B, E]``; a sequence without any token is pooled to zeros."""
        values, mask = self._checked(condition)
        tokens = functional.layer_norm(self.standardizer(values), (self.features,))
        scores = self._scores(tokens).float().masked_fill(~mask.unsqueeze(2), -torch.inf)
        weights = torch.softmax(scores, dim=1).nan_to_num(0.0)
        pooled = torch.einsum("bth,btc->bhc", weights, tokens.float())
        # The norm's gain and bias, behind the sum instead of before it: a gradient to every token is not needed.
        pooled = pooled * self.norm.weight + weights.sum(dim=1).unsqueeze(2) * self.norm.bias
        embedded: Tensor = self.network(pooled.flatten(1))
        return embedded

    def _scores(self, tokens: Tensor) -> Tensor:
        """``[B, T, H]`` of tokens ``[B, T, C]`` that lack gain and bias of the norm."""
        bias = functional.linear(self.norm.bias, self.scores.weight, self.scores.bias)
        return functional.linear(tokens, self.scores.weight * self.norm.weight, bias)

    def _checked(self, condition: Representation) -> tuple[Tensor, Tensor]:
        if not isinstance(condition, Tokens) or condition.values.shape[2:] != (self.features,):
            raise InputError(f"The condition must be Tokens [B, T, {self.features}], not {_describe(condition)}.")
        return condition.values.to(self.standardizer.mean), condition.mask.to(self.standardizer.mean.device)


class SpatialEmbedder(Embedder):
    """Strided convolutions on ``[B, C, H, W]``, pooled to 4x4, flattened, then a LayerNorm network.

    After the convolutional embedder of Rombach, Esser and Ommer 2020 (arXiv:2005.13580, supplement), with GroupNorm
    for ActNorm, and with pooling so that the height and width need not be fixed.

    Args:
        features: number of channels C.
        width: channels of the convolutions and width of the hidden layers.
        layers: number of hidden layers.
        out: size E of the result.
        halvings: number of convolutions of stride 2.
    """

    def __init__(self, features: int, width: int, layers: int, out: int, halvings: int) -> None:
        super().__init__(features)
        channels = [features] + [max(16, width >> (halvings - 1 - level)) for level in range(halvings)]
        self.convolutions = nn.Sequential(*(_halve(*pair) for pair in pairwise(channels)))
        self.pool = nn.AdaptiveAvgPool2d(POOLED_SIDE)
        self.network = _network(channels[-1] * POOLED_SIDE**2, width, layers, out)

    def rows(self, condition: Representation) -> Tensor:
        """The pixels."""
        return self._checked(condition).movedim(1, -1).flatten(0, 2)

    def forward(self, condition: Representation) -> Tensor:
        """``[B, C, H, W]`` to ``[B, E]``."""
        pixels = self.standardizer(self._checked(condition).movedim(1, -1)).movedim(-1, 1)
        embedded: Tensor = self.network(self.pool(self.convolutions(pixels)).flatten(1))
        return embedded

    def _checked(self, condition: Representation) -> Tensor:
        if not isinstance(condition, Tensor) or condition.ndim != 4 or condition.shape[1] != self.features:
            raise InputError(f"The condition must be a tensor [B, {self.features}, H, W], not {_describe(condition)}.")
        return condition.to(self.standardizer.mean)


def describe_condition(port: Port) -> dict[str, Any]:
    """What an embedder has to know of a source port, JSON-ready.

    Raises:
        PortError: no embedder takes the port's modality, or the size of its features is not fixed.
    """
    axis = {"vector": 0, "tokens": -1, "map": 0, "image": 0}.get(port.modality)
    if axis is None:
        raise PortError(f"A cINN takes vectors, tokens, maps or images as condition, not the port {port}.")
    features = port.shape[axis] if port.shape else "size"
    if isinstance(features, str):
        raise PortError(f"The port {port} does not fix its {features!r}; load the checkpoint that does.")
    sides = [side for side in port.shape[1:] if isinstance(side, int)] if port.modality in ("map", "image") else []
    return {"modality": port.modality, "features": features, "side": min(sides, default=0)}


def build_embedder(condition: Mapping[str, Any], width: int, layers: int, out: int) -> Embedder:
    """The embedder for a condition that :func:`describe_condition` described.

    Args:
        condition: modality, number of features and smaller side (0 where it is not fixed).
        width: width of the hidden layers.
        layers: number of hidden layers.
        out: size E of the embedded condition.
    """
    modality, features = condition["modality"], condition["features"]
    if modality == "vector":
        return VectorEmbedder(features, width, layers, out)
    if modality == "tokens":
        return TokenEmbedder(features, width, layers, out)
    return SpatialEmbedder(features, width, layers, out, _halvings(condition["side"]))


def _halvings(side: int) -> int:
    """Strided convolutions until a map of that side is 4 to 7 wide, five at most; three where it is not known."""
    return min(5, max(1, int(math.log2(side / POOLED_SIDE)))) if side > POOLED_SIDE else (1 if side else 3)


def _network(size: int, width: int, layers: int, out: int) -> nn.Sequential:
    sizes = [size] + [width] * layers
    hidden = [
        part for before, after in pairwise(sizes) for part in (nn.Linear(before, after), nn.LayerNorm(after), nn.SiLU())
    ]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], out))


def _halve(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 4, stride=2, padding=1), nn.GroupNorm(min(8, out), out), nn.SiLU())


def _describe(condition: Representation) -> str:
    if isinstance(condition, Tokens):
        return f"Tokens {list(condition.values.shape)}"
    return f"a tensor {list(condition.shape)}" if isinstance(condition, Tensor) else "a list of texts"
