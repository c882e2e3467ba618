"""Heads: from the features at the taps to logits, built from the shapes of the taps alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dragoman.errors import InputError
from dragoman.ports import Port
from dragoman_vision_aided.taps import fixed_shape

__all__ = ["Blur", "Head", "MapLevel", "VectorLevel"]

_SLOPE = 0.2
#: Side at which a map is small enough to be judged.
_SIDE = 4


class Blur(nn.Module):
    """The binomial filter 1, 3, 3, 1 in both directions, without which a stride aliases (Zhang 2019, arXiv:1904.11486).

    A map ``[B, C, H, W]`` keeps its size; zeros stand around it.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = torch.outer(taps, taps) / taps.sum().square()
        self.register_buffer("kernel", kernel.expand(channels, 1, 4, 4).clone(), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Blur each channel."""
        return F.conv2d(F.pad(maps, (1, 2, 1, 2)), self.kernel.to(maps.dtype), groups=len(self.kernel))


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    conv = spectral_norm(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
    return nn.Sequential(Blur(inputs), conv, nn.LeakyReLU(_SLOPE))


class _Level(nn.Module):
    """One tap's logits; classes are added by projection (Miyato and Koyama 2018, arXiv:1802.05637)."""

    embed: nn.Module | None

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.embed = spectral_norm(nn.Embedding(num_classes, width)) if num_classes else None

    def projection(self, hidden: Tensor, labels: Tensor | None) -> Tensor | float:
        """The inner product of hidden ``[B, width]`` and the class's embedding, ``[B, 1]``, or 0 without classes."""
        if self.embed is None:
            return 0.0
        if labels is None:
            raise InputError("A class-conditional critic needs the labels of the images; none were given.")
        product: Tensor = (self.embed(labels) * hidden).sum(dim=1, keepdim=True)
        return product


class MapLevel(_Level):
    """Blurred strided convolutions down to 4 pixels; then one logit, or with ``patches`` one for each position.

    Args:
        shape: channels, height and width of the map.
        width: channels of the head.
        patches: whether each position is judged by itself.
        num_classes: classes of the projection, 0 for none.
    """

    def __init__(self, shape: Sequence[int], width: int, patches: bool, num_classes: int = 0) -> None:
        super().__init__(width, num_classes)
        channels, side = shape[0], max(shape[1:])
        stages = max(1, ceil(log2(max(side, 1) / _SIDE)) if side > _SIDE else 1)
        widths = [channels, *[width] * stages]
        self.trunk = nn.Sequential(*(_halving(a, b) for a, b in pairwise(widths)))
        with torch.no_grad():
            positions = self.trunk(torch.zeros(1, *shape)).shape[2:].numel()
        self.patches = patches
        if patches:
            self.last: nn.Module = spectral_norm(nn.Conv2d(width, 1, 3, padding=1))
        else:
            self.hidden = spectral_norm(nn.Linear(width * positions, width))
            self.last = spectral_norm(nn.Linear(width, 1))

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Maps ``[B, C, H, W]`` to logits ``[B, positions]`` or ``[B, 1]``."""
        trunk = self.trunk(maps)
        if self.patches:
            of_patches: Tensor = self.last(trunk).flatten(1) + self.projection(trunk.mean(dim=(2, 3)), labels)
            return of_patches
        hidden = F.leaky_relu(self.hidden(trunk.flatten(1)), _SLOPE)
        logits: Tensor = self.last(hidden) + self.projection(hidden, labels)
        return logits


class VectorLevel(_Level):
    """Two fully connected layers and one logit.

    Args:
        size: length of the vector.
        width: length of the hidden ones.
        num_classes: classes of the projection, 0 for none.
    """

    def __init__(self, size: int, width: int, num_classes: int = 0) -> None:
        super().__init__(width, num_classes)
        layers = (spectral_norm(nn.Linear(a, width)) for a in (size, width))
        self.body = nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(_SLOPE))))
        self.last = spectral_norm(nn.Linear(width, 1))

    def forward(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        """Vectors ``[B, D]`` to logits ``[B, 1]``."""
        hidden = self.body(vectors)
        logits: Tensor = self.last(hidden) + self.projection(hidden, labels)
        return logits


class Head(nn.Module):
    """Logits of each tap; with one tap, one logit, with several, maps are judged patch by patch.

    Args:
        taps: the ports, whose shapes decide.
        width: channels of the head.
        num_classes: classes of the projection at the last tap, 0 for none.
    """

    def __init__(self, taps: Sequence[Port], width: int = 256, num_classes: int = 0) -> None:
        super().__init__()
        several, last = len(taps) > 1, len(taps) - 1
        self.levels = nn.ModuleList(
            _level(port, width, several, num_classes if index == last else 0) for index, port in enumerate(taps)
        )

    def forward(self, features: Sequence[Tensor], labels: Tensor | None = None) -> list[Tensor]:
        """Features at the taps to logits ``[B, n]`` for each tap, the last one's with the class."""
        return [level(each, labels) for level, each in zip(self.levels, features, strict=True)]


def _level(port: Port, width: int, patches: bool, num_classes: int) -> _Level:
    shape = fixed_shape(port)
    return (
        VectorLevel(shape[0], width, num_classes)
        if port.modality == "vector"
        else MapLevel(shape, width, patches, num_classes)
    )
