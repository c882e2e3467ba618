"""Two small image classifiers of different architecture: one to caption with, one to judge with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PlainNet", "ResidualNet", "build_network"]


class PlainNet(nn.Module):
    """Pairs of convolutions with batch norm, the first of each pair with stride 2.

    Args:
        widths: channels of each stage; a stage has two convolutions and halves the map.
        num_classes: number of logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in widths:
            layers += [_conv_norm(channels, width, stride=2), nn.ReLU(), _conv_norm(width, width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """``[B, 1, 32, 32]`` in [0, 1] to pooled features ``[B, widths[-1]]``."""
        pooled: Tensor = self.body(_prepare(images)).mean(dim=(2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 1, 32, 32]`` in [0, 1] to logits ``[B, num_classes]``."""
        logits: Tensor = self.head(self.features(images))
        return logits


class ResidualNet(nn.Module):
    """Pre-activation residual network with strided convolutions.

    Args:
        widths: channels of each stage; every stage after the first halves the map.
        num_classes: number of logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, stride=2, padding=1, bias=False)
        inputs = [widths[0], *widths[:-1]]
        strides = [1] + [2] * (len(widths) - 1)
        self.blocks = nn.Sequential(
            *(_ResidualBlock(a, b, stride=stride) for a, b, stride in zip(inputs, widths, strides, strict=True))
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], num_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """``[B, 1, 32, 32]`` in [0, 1] to pooled features ``[B, widths[-1]]``."""
        pooled: Tensor = F.relu(self.norm(self.blocks(self.stem(_prepare(images))))).mean(dim=(2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 1, 32, 32]`` in [0, 1] to logits ``[B, num_classes]``."""
        logits: Tensor = self.head(self.features(images))
        return logits


class _ResidualBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(x))
        out: Tensor = self.shortcut(hidden) + self.conv2(F.relu(self.norm2(self.conv1(hidden))))
        return out


def build_network(architecture: str, widths: Sequence[int], num_classes: int) -> PlainNet | ResidualNet:
    """The network named ``"plain"`` or ``"residual"``."""
    kinds: dict[str, type[PlainNet] | type[ResidualNet]] = {"plain": PlainNet, "residual": ResidualNet}
    return kinds[architecture](widths, num_classes)


def _conv_norm(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out_channels)
    )


def _prepare(images: Tensor) -> Tensor:
    """To [-1, 1], in the layout that is fast on a CPU."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)
