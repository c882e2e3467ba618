"""The synthesis network with output skips: styles to an image (Karras et al. 2020, figures 2 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from dragoman_stylegan2.config import BOTTOM, GeneratorConfig
from dragoman_stylegan2.filters import resampling_filter, upsample
from dragoman_stylegan2.layers import GAIN, FullyConnected, activate
from dragoman_stylegan2.modulation import modulated_conv2d

__all__ = ["Synthesis", "compute_dtype"]

#: The noise of one layer: planes ``[B, 1, H, W]`` or ``[H, W]``, or none.
Plane = Tensor | None


def compute_dtype(weight: Tensor, halves: bool) -> torch.dtype:
    """float16 for layers that may use it on CUDA; elsewhere float32, or float64 for such weights.

    Half precision works on a CPU too, but a hundred times slower than float32.
    """
    if halves and weight.is_cuda and weight.dtype != torch.float64:
        return torch.float16
    return torch.promote_types(weight.dtype, torch.float32)


class StyledConvolution(nn.Module):
    """Modulated 3x3 convolution, noise, bias, rectifier."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, config: GeneratorConfig, *, up: bool = False) -> None:
        super().__init__()
        self.affine = FullyConnected(config.w_dim, inputs, rectify=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", resampling_filter())
        self.register_buffer("noise_const", torch.randn(size, size))
        self.up, self.clamp = up, config.conv_clamp

    def forward(self, x: Tensor, w: Tensor, noise: Plane) -> Tensor:
        """``[B, inputs, H, W]`` in the style ``[B, w_dim]`` to ``[B, outputs, H, W]`` or twice that."""
        # Weights for each sample pay off where a convolution is cheap and its launch is not.
        grouped = x.is_cuda and not self.training
        x = modulated_conv2d(
            x, self.weight, self.affine(w), self.resample_filter, up=self.up, grouped=grouped, gain=GAIN
        )
        if noise is not None:
            x = x + (noise * (self.noise_strength * GAIN)).to(x.dtype)
        return activate(x + (self.bias * GAIN).to(x.dtype)[:, None, None], clamp=self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(self, inputs: int, config: GeneratorConfig) -> None:
        super().__init__()
        self.affine = FullyConnected(config.w_dim, inputs, rectify=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.image_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.image_channels))
        self.clamp = config.conv_clamp

    def forward(self, x: Tensor, w: Tensor, kernel: Tensor) -> Tensor:
        """``[B, inputs, H, W]`` to ``[B, image channels, H, W]``."""
        styles = self.affine(w) * (1 / sqrt(self.weight[0].numel()))
        x = modulated_conv2d(x, self.weight, styles, kernel, demodulate=False)
        return activate(x + self.bias.to(x.dtype)[:, None, None], rectify=False, clamp=self.clamp)


class SynthesisBlock(nn.Module):
    """The layers of one size: two convolutions, the first of which doubles the map, and a contribution to the image.

    The block of 4x4 begins with a learned constant instead, and has one convolution.
    """

    resample_filter: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, config: GeneratorConfig) -> None:
        super().__init__()
        self.register_buffer("resample_filter", resampling_filter())
        if inputs:
            self.conv0 = StyledConvolution(inputs, outputs, size, config, up=True)
        else:
            self.const = nn.Parameter(torch.randn(outputs, size, size))
        self.conv1 = StyledConvolution(outputs, outputs, size, config)
        self.torgb = ToRGB(outputs, config)
        self.first, self.size, self.halves = not inputs, size, config.halves(size)

    @property
    def convolutions(self) -> int:
        """Convolutions, each of which takes a style and a plane of noise."""
        return 1 if self.first else 2

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Sequence[Plane]
    ) -> tuple[Tensor, Tensor]:
        """One size further.

        Args:
            x: maps of half the size, ``None`` at first.
            image: image of half the size, ``None`` at first.
            ws: styles ``[B, convolutions + 1, w_dim]``, the last for the image.
            noise: a plane for each convolution.
        """
        dtype = compute_dtype(self.conv1.weight, self.halves)
        if x is None:
            x = self.const.to(dtype).expand(len(ws), -1, -1, -1)
        else:
            x = self.conv0(x.to(dtype), ws[:, 0], noise[0])
        x = self.conv1(x, ws[:, -2], noise[-1])
        shown: Tensor = self.torgb(x, ws[:, -1], self.resample_filter).to(compute_dtype(self.conv1.weight, False))
        return x, shown if image is None else upsample(image, self.resample_filter) + shown


class Synthesis(nn.Module):
    """Styles and noise to an image."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        before = (0, *config.channels)
        for inputs, outputs, size in zip(before, config.channels, config.sizes, strict=False):
            self.add_module(f"b{size}", SynthesisBlock(inputs, outputs, size, config))

    @property
    def blocks(self) -> list[SynthesisBlock]:
        """The blocks in order of their size."""
        found = [self.get_submodule(f"b{size}") for size in self.config.sizes]
        return [block for block in found if isinstance(block, SynthesisBlock)]

    @property
    def noise_sizes(self) -> list[int]:
        """Height and width of each layer's plane of noise."""
        return [size for size in self.config.sizes for _ in range(1 if size == BOTTOM else 2)]

    def stored_noise(self) -> list[Plane]:
        """The planes that the checkpoint holds, one ``[H, W]`` for each layer."""
        layers = [layer for layer in self.modules() if isinstance(layer, StyledConvolution)]
        return [layer.noise_const for layer in layers]

    def forward(self, ws: Tensor, noise: Sequence[Plane] | None = None) -> Tensor:
        """Render.

        Args:
            ws: a style for each layer, ``[B, num_ws, w_dim]``.
            noise: a plane for each of :attr:`noise_sizes`; without any, those of the checkpoint.

        Returns:
            ``[B, image_channels, resolution, resolution]``, around [-1, 1].
        """
        planes = self.stored_noise() if noise is None else noise
        x: Tensor | None = None
        image: Tensor | None = None
        layer = 0
        for block in self.blocks:
            count = block.convolutions
            # The image's style is that of the next block's first convolution.
            x, image = block(x, image, ws[:, layer : layer + count + 1], planes[layer : layer + count])
            layer += count
        assert image is not None
        return image
