"""BigGAN (Brock, Donahue, Simonyan 2019), generator and discriminator, in the key layout of BigGAN-PyTorch.

The published resolutions are tables of channel multipliers; a mini is a small table and the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_biggan.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear

__all__ = ["Discriminator", "Generator", "PlainConfig"]

BOTTOM_WIDTH = 4


@dataclass(frozen=True)
class PlainConfig:
    """Everything that fixes the two networks.

    Args:
        resolution: height and width of the images, 4 times a power of two.
        channels: base width, the published ``ch``.
        generator: channel multipliers from the 4x4 map to the image, one more than there are upsampling blocks.
        discriminator: channel multipliers of the blocks' outputs, first to last.
        discriminator_downsamples: how many of the first blocks halve the map.
        z_dim: length of z, split evenly over the input layer and the blocks (hierarchical z).
        shared_dim: length of a class embedding.
        num_classes: rows of the embedding table.
        attention: map sizes after which the generator has self-attention.
        discriminator_attention: the same for the discriminator.
        image_channels: 3 for colour, 1 for grey.
        bn_eps: epsilon of batch normalisation.
        sn_eps: epsilon of the power iteration.
    """

    resolution: int = 128
    channels: int = 96
    generator: tuple[int, ...] = (16, 16, 8, 4, 2, 1)
    discriminator: tuple[int, ...] = (1, 2, 4, 8, 16, 16)
    discriminator_downsamples: int = 5
    z_dim: int = 120
    shared_dim: int = 128
    num_classes: int = 1000
    attention: tuple[int, ...] = (64,)
    discriminator_attention: tuple[int, ...] = (64,)
    image_channels: int = 3
    bn_eps: float = 1e-5
    sn_eps: float = 1e-6

    @classmethod
    def published(cls, resolution: int) -> PlainConfig:
        """The configuration of the released ImageNet models, at 128 or 256 pixels."""
        if resolution == 128:
            return cls()
        return cls(
            resolution=256,
            generator=(16, 16, 8, 8, 4, 2, 1),
            discriminator=(1, 2, 4, 8, 8, 16, 16),
            discriminator_downsamples=6,
            z_dim=140,
            attention=(128,),
            discriminator_attention=(128,),
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlainConfig:
        """Read what :meth:`to_dict` wrote; keys of other things in the same file are left alone."""
        known: dict[str, Any] = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def chunk(self) -> int:
        """Length of the part of z that goes to the input layer and to each block."""
        return self.z_dim // len(self.generator)


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and bias are linear in the condition: ``(1 + G y) norm(x) + B y``."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, features: int, condition: int, config: PlainConfig) -> None:
        super().__init__()
        self.gain = SpectralLinear(condition, features, eps=config.sn_eps, bias=False)
        self.bias = SpectralLinear(condition, features, eps=config.sn_eps, bias=False)
        self.register_buffer("stored_mean", torch.zeros(features))
        self.register_buffer("stored_var", torch.ones(features))
        self.eps, self.momentum = config.bn_eps, 0.1

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``x`` is ``[B, C, H, W]``, ``y`` the condition ``[B, D]``."""
        gain, bias = 1 + self.gain(y), self.bias(y)
        if self.training:
            x = F.batch_norm(x, self.stored_mean, self.stored_var, None, None, True, self.momentum, self.eps)
        else:
            # Stored statistics are part of the gain and the bias: one pass over the maps instead of two.
            gain = gain * torch.rsqrt(self.stored_var + self.eps)
            bias = bias - gain * self.stored_mean
        return torch.addcmul(bias[:, :, None, None].to(x), x, gain[:, :, None, None].to(x))


class PlainBatchNorm(nn.Module):
    """Batch normalisation with a learned gain and bias, under the key names of the published checkpoints."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, features: int, config: PlainConfig) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("stored_mean", torch.zeros(features))
        self.register_buffer("stored_var", torch.ones(features))
        self.eps, self.momentum = config.bn_eps, 0.1

    def forward(self, x: Tensor) -> Tensor:
        """``x`` is ``[B, C, H, W]``."""
        return F.batch_norm(
            x, self.stored_mean, self.stored_var, self.gain, self.bias, self.training, self.momentum, self.eps
        )


class SelfAttention(nn.Module):
    """Self-attention over positions with pooled keys and values, entering with weight gamma, at first 0."""

    def __init__(self, features: int, config: PlainConfig) -> None:
        super().__init__()
        eps = config.sn_eps
        self.theta = SpectralConv2d(features, features // 8, 1, eps=eps, bias=False)
        self.phi = SpectralConv2d(features, features // 8, 1, eps=eps, bias=False)
        self.g = SpectralConv2d(features, features // 2, 1, eps=eps, bias=False)
        self.o = SpectralConv2d(features // 2, features, 1, eps=eps, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same shape."""
        height, width = x.shape[-2:]
        query = self.theta(x).flatten(2).transpose(1, 2)
        key = F.max_pool2d(self.phi(x), 2).flatten(2)
        value = F.max_pool2d(self.g(x), 2).flatten(2).transpose(1, 2)
        attended = torch.softmax(query @ key, dim=-1) @ value
        out: Tensor = self.o(attended.transpose(1, 2).unflatten(2, (height, width)))
        return self.gamma * out + x


class UpsampledConv2d(SpectralConv2d):
    """Nearest-neighbour upsampling and a 3x3 convolution, in one."""

    def forward(self, input: Tensor) -> Tensor:
        """``[B, in, H, W]`` to ``[B, out, 2H, 2W]``."""
        # Of the nine taps, those that meet the same pixel of the small map are added up: four are left for each output,
        # which is a transposed convolution, and the large map is never made.
        taps = self.normalised().flip(2, 3).transpose(0, 1)
        taps = F.pad(taps, (0, 0, 0, 1)) + F.pad(taps, (0, 0, 1, 0))
        taps = F.pad(taps, (0, 1)) + F.pad(taps, (1, 0))
        taps = taps.contiguous(memory_format=torch.channels_last)
        return F.conv_transpose2d(input, taps, self.bias, stride=2, padding=1)


class GeneratorBlock(nn.Module):
    """Residual block that doubles the map: cBN, ReLU, upsample, conv, cBN, ReLU, conv."""

    def __init__(self, in_channels: int, out_channels: int, config: PlainConfig) -> None:
        super().__init__()
        condition, eps = config.shared_dim + config.chunk, config.sn_eps
        self.bn1 = ConditionalBatchNorm(in_channels, condition, config)
        self.conv1 = UpsampledConv2d(in_channels, out_channels, 3, eps=eps)
        self.bn2 = ConditionalBatchNorm(out_channels, condition, config)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, eps=eps)
        self.conv_sc = SpectralConv2d(in_channels, out_channels, 1, eps=eps)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``[B, in, H, W]`` to ``[B, out, 2H, 2W]``, conditioned on ``y``."""
        hidden = self.conv1(F.relu(self.bn1(x, y)))
        out: Tensor = self.conv2(F.relu(self.bn2(hidden, y)))
        # A 1x1 convolution commutes with nearest-neighbour upsampling; before it, it costs a quarter.
        shortcut = F.interpolate(self.conv_sc(x), scale_factor=2)
        return out + shortcut


class Generator(nn.Module):
    """z and a class embedding to an image in [-1, 1]. Labels become embeddings through :attr:`shared`."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * multiplier for multiplier in config.generator]
        self.shared = nn.Embedding(config.num_classes, config.shared_dim)
        self.linear = SpectralLinear(config.chunk, widths[0] * BOTTOM_WIDTH**2, eps=config.sn_eps)
        self.blocks = nn.ModuleList(
            self._stage(widths[i], widths[i + 1], BOTTOM_WIDTH * 2 ** (i + 1)) for i in range(len(widths) - 1)
        )
        self.output_layer = nn.Sequential(
            PlainBatchNorm(widths[-1], config),
            nn.ReLU(),
            SpectralConv2d(widths[-1], config.image_channels, 3, eps=config.sn_eps),
        )

    def _stage(self, in_channels: int, out_channels: int, size: int) -> nn.ModuleList:
        stage: list[nn.Module] = [GeneratorBlock(in_channels, out_channels, self.config)]
        if size in self.config.attention:
            stage.append(SelfAttention(out_channels, self.config))
        return nn.ModuleList(stage)

    def forward(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Render.

        Args:
            z: ``[B, z_dim]``.
            embedding: class embeddings ``[B, shared_dim]``.

        Returns:
            ``[B, image_channels, resolution, resolution]`` in [-1, 1].
        """
        first, *others = z.split(self.config.chunk, dim=1)
        hidden = self.linear(first).unflatten(1, (-1, BOTTOM_WIDTH, BOTTOM_WIDTH))
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        for stage, chunk in zip(self.blocks, others, strict=True):
            assert isinstance(stage, nn.ModuleList)
            hidden = stage[0](hidden, torch.cat([embedding, chunk], dim=1))
            for attention in stage[1:]:
                hidden = attention(hidden)
        return torch.tanh(self.output_layer(hidden))


class DiscriminatorBlock(nn.Module):
    """Residual block, optionally halving the map; the first block of a network has no leading ReLU."""

    def __init__(self, in_channels: int, out_channels: int, config: PlainConfig, *, first: bool, down: bool) -> None:
        super().__init__()
        self.first, self.down = first, down
        eps = config.sn_eps
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, eps=eps)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, eps=eps)
        needs_shortcut = in_channels != out_channels or down
        self.conv_sc = SpectralConv2d(in_channels, out_channels, 1, eps=eps) if needs_shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """``[B, in, H, W]`` to ``[B, out, H, W]`` or half of it."""
        hidden = x if self.first else F.relu(x)
        hidden = self._halve(self.conv2(F.relu(self.conv1(hidden))))
        # Pooling and a 1x1 convolution commute: pooling first is cheaper, and the same for both orders published.
        shortcut = self._halve(x)
        return hidden + (shortcut if self.conv_sc is None else self.conv_sc(shortcut))

    def _halve(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.down else x


class Discriminator(nn.Module):
    """Image and label to a logit: ``linear(h) + embed(label) . h`` (projection, Miyato and Koyama 2018)."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.image_channels] + [config.channels * m for m in config.discriminator]
        self.blocks = nn.ModuleList(self._stage(i, widths) for i in range(len(config.discriminator)))
        self.linear = SpectralLinear(widths[-1], 1, eps=config.sn_eps)
        self.embed = SpectralEmbedding(config.num_classes, widths[-1], eps=config.sn_eps)

    def _stage(self, index: int, widths: list[int]) -> nn.ModuleList:
        config = self.config
        down = index < config.discriminator_downsamples
        size = config.resolution // 2 ** min(index + 1, config.discriminator_downsamples)
        stage: list[nn.Module] = [
            DiscriminatorBlock(widths[index], widths[index + 1], config, first=index == 0, down=down)
        ]
        if size in config.discriminator_attention and down:
            stage.append(SelfAttention(widths[index + 1], config))
        return nn.ModuleList(stage)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Judge.

        Args:
            images: ``[B, image_channels, resolution, resolution]`` in [-1, 1].
            labels: int64 ``[B]``.

        Returns:
            Logits ``[B]``, above 0 for real.
        """
        hidden = images.contiguous(memory_format=torch.channels_last)
        for stage in self.blocks:
            assert isinstance(stage, nn.ModuleList)
            for layer in stage:
                hidden = layer(hidden)
        hidden = F.relu(hidden).sum(dim=(2, 3))
        logits: Tensor = self.linear(hidden).squeeze(1) + (self.embed(labels) * hidden).sum(dim=1)
        return logits
