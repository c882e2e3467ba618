"""The discriminator (Karras et al. 2020, figure 7), under the tensor names of the official PyTorch releases."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from dragoman_stylegan2.config import BOTTOM, DiscriminatorConfig
from dragoman_stylegan2.filters import resampling_filter
from dragoman_stylegan2.layers import Convolution, FullyConnected
from dragoman_stylegan2.mapping import Mapping
from dragoman_stylegan2.synthesis import compute_dtype

__all__ = ["Discriminator", "minibatch_deviation"]

_EPSILON = 1e-8


def minibatch_deviation(x: Tensor, group: int, channels: int = 1) -> Tensor:
    """Append maps that say how much the samples of a group differ (Karras et al. 2018, arXiv:1710.10196, section 3).

    A group is every n-th sample of the batch; where the batch is no multiple of ``group``, the groups are as large as
    divide it evenly.

    Args:
        x: ``[B, C, H, W]``.
        group: most samples in a group.
        channels: maps that are appended; C is split into so many parts.

    Returns:
        ``[B, C + channels, H, W]``.
    """
    batch, _, height, width = x.shape
    members = max(size for size in range(1, min(group, batch) + 1) if batch % size == 0)
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    grouped = precise.reshape(members, batch // members, channels, -1, height, width)
    deviation = (grouped.var(dim=0, correction=0) + _EPSILON).sqrt().mean(dim=(2, 3, 4))
    maps = deviation.to(x.dtype)[:, :, None, None].repeat(members, 1, height, width)
    return torch.cat([x, maps], dim=1)


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second of which halves the map, and a shortcut; the first block reads the image."""

    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.register_buffer("resample_filter", resampling_filter())
        clamp = config.conv_clamp
        if size == config.resolution:
            self.fromrgb = Convolution(config.image_channels, inputs, 1, clamp=clamp)
        self.conv0 = Convolution(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Convolution(inputs, outputs, 3, down=True, clamp=clamp)
        if config.residual:
            self.skip = Convolution(inputs, outputs, 1, bias=False, rectify=False, down=True)
        self.first, self.residual, self.halves = size == config.resolution, config.residual, config.halves(size)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, H, W]``, or the image, to ``[B, outputs, H/2, W/2]``."""
        x = x.to(compute_dtype(self.conv0.weight, self.halves))
        x = self.fromrgb(x) if self.first else x
        if not self.residual:
            plain: Tensor = self.conv1(self.conv0(x))
            return plain
        # The sum of two branches of variance 1 has variance 1 again.
        shortcut: Tensor = self.skip(x, gain=sqrt(0.5))
        out: Tensor = self.conv1(self.conv0(x), gain=sqrt(0.5))
        return shortcut + out


class Epilogue(nn.Module):
    """The last map ``[B, C, 4, 4]`` to a logit, or to the vector that is projected on the class's."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        width = config.channels[0]
        self.group, self.channels = config.mbstd_group, config.mbstd_channels
        self.conv = Convolution(width + self.channels, width, 3, clamp=config.conv_clamp)
        self.fc = FullyConnected(width * BOTTOM**2, width)
        self.out = FullyConnected(width, config.cmap_dim if config.num_classes else 1, rectify=False)

    def forward(self, x: Tensor, projection: Tensor | None) -> Tensor:
        """Logits ``[B]``."""
        x = x.to(compute_dtype(self.fc.weight, False))
        hidden = self.fc(self.conv(minibatch_deviation(x, self.group, self.channels)).flatten(1))
        out: Tensor = self.out(hidden)
        if projection is None:
            return out.squeeze(1)
        return (out * projection).sum(dim=1) / sqrt(out.shape[1])


class Discriminator(nn.Module):
    """Image and class to a logit, above 0 for real; the class enters by projection (Miyato and Koyama 2018)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.sizes = config.sizes[:0:-1]
        levels = zip(config.channels[:0:-1], config.channels[-2::-1], self.sizes, strict=True)
        for inputs, outputs, size in levels:
            self.add_module(f"b{size}", DiscriminatorBlock(inputs, outputs, size, config))
        self.b4 = Epilogue(config)
        if config.num_classes:
            self.mapping = Mapping(
                0, config.num_classes, config.cmap_dim, layers=config.mapping_layers, rate=config.mapping_rate
            )

    def features(self, images: Tensor) -> Tensor:
        """The map ``[B, C, 4, 4]`` behind the last block; the last place where samples do not yet know of each other.

        Args:
            images: ``[B, image_channels, resolution, resolution]`` in [-1, 1].
        """
        x = images
        for size in self.sizes:
            x = self.get_submodule(f"b{size}")(x)
        return x

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge.

        Args:
            images: ``[B, image_channels, resolution, resolution]`` in [-1, 1].
            labels: int64 ``[B]`` where there are classes.

        Returns:
            Logits ``[B]``.
        """
        projection = self.mapping(None, labels) if self.config.num_classes else None
        logits: Tensor = self.b4(self.features(images), projection)
        return logits
