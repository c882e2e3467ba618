"""The network: an image to the same image in a style."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.errors import PackageError

__all__ = ["SITES", "StyleNet", "network_of"]

#: The normalisations, which the loss coefficients modulate.
SITES = ("*.norm",)
#: Most weights of all residual blocks: what a damaged configuration asks for must not exhaust the memory.
_MOST = 2**28
_KEYS = {"styles": 1024, "width": 512, "blocks": 64}


class StyleNet(nn.Module):
    """A feed-forward network for style transfer (Johnson et al. 2016, arXiv:1603.08155) with one set of scales and
    shifts after its instance normalisations for each style (Dumoulin et al. 2017, arXiv:1610.07629).

    Args:
        styles: how many styles it knows.
        width: channels at full resolution; half of it has twice, a quarter three times as many.
        blocks: residual blocks at a quarter of the resolution.
    """

    def __init__(self, styles: int, width: int, blocks: int) -> None:
        super().__init__()
        self.styles = styles
        sizes = (width, 2 * width, 3 * width)
        self.down = nn.ModuleList(
            (
                _Layer(3, sizes[0], 5, styles),
                _Layer(sizes[0], sizes[1], 3, styles, stride=2),
                _Layer(sizes[1], sizes[2], 3, styles, stride=2),
            )
        )
        self.residual = nn.ModuleList(_Residual(sizes[2], styles) for _ in range(blocks))
        self.up = nn.ModuleList((_Layer(sizes[2], sizes[1], 3, styles), _Layer(sizes[1], sizes[0], 3, styles)))
        self.last = nn.Conv2d(sizes[0], 3, 5, padding=2, padding_mode="reflect")

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Stylise.

        Args:
            images: ``[B, 3, H, W]`` in [0, 1], with sides of at least 8 pixels.
            style: which style for each, int64 ``[B]``.

        Returns:
            Images of the same size in [0, 1].
        """
        height, width = images.shape[2:]
        maps = functional.pad(2 * images - 1, (0, -width % 4, 0, -height % 4), mode="reflect")
        for layer in self.down:
            maps = layer(maps, style).relu()
        for block in self.residual:
            maps = block(maps, style)
        for layer in self.up:
            # Nearest neighbours and a convolution leave no checkerboard, as transposed convolutions do.
            maps = layer(functional.interpolate(maps, scale_factor=2.0), style).relu()
        made: Tensor = self.last(maps)[:, :, :height, :width].sigmoid()
        return made


class _Layer(nn.Module):
    """Convolution, instance normalisation, and the style's scale and shift."""

    def __init__(self, inside: int, outside: int, size: int, styles: int, stride: int = 1) -> None:
        super().__init__()
        # The normalisation takes a bias away again.
        options: dict[str, Any] = {"padding": size // 2, "padding_mode": "reflect", "bias": False}
        self.conv = nn.Conv2d(inside, outside, size, stride=stride, **options)
        self.norm = nn.InstanceNorm2d(outside)
        self.scale = nn.Parameter(torch.ones(styles, outside))
        self.shift = nn.Parameter(torch.zeros(styles, outside))

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.conv(maps))
        return normalised * self.scale[style][:, :, None, None] + self.shift[style][:, :, None, None]


class _Residual(nn.Module):
    def __init__(self, width: int, styles: int) -> None:
        super().__init__()
        self.first, self.second = _Layer(width, width, 3, styles), _Layer(width, width, 3, styles)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        inner: Tensor = self.second(self.first(maps, style).relu(), style)
        return maps + inner


def network_of(config: dict[str, Any]) -> StyleNet:
    """A fresh network by its ``config.json``: ``styles``, ``width`` and ``blocks``.

    Raises:
        PackageError: one is missing or cannot be.
    """
    for name, most in _KEYS.items():
        value = config.get(name)
        if type(value) is not int or not 1 <= value <= most:
            raise PackageError(f"The style network's {name} is {value!r}, not a whole number from 1 to {most}.")
    width, blocks = config["width"], config["blocks"]
    if 2 * blocks * 9 * (3 * width) ** 2 > _MOST:
        raise PackageError(f"The style network's width {width} and {blocks} blocks make it too large.")
    return StyleNet(**{name: config[name] for name in _KEYS})
