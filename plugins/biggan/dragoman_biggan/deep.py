"""The BigGAN-deep generator (Brock, Donahue, Simonyan 2019, appendix B) in the layout of pytorch-pretrained-BigGAN.

Tensors carry the names and shapes of the released checkpoints. There is no initialisation: the networks hold nothing
until a checkpoint is loaded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_biggan.deep_config import BOTTOM, DeepConfig
from dragoman_biggan.fixed_spectral import FixedSpectralConv2d, FixedSpectralLinear
from dragoman_biggan.truncation import StatisticsRow

__all__ = ["DeepGenerator"]

_BOTTOM_WIDTH = 4
_COLOURS = 3
_REDUCTION = 4


class _Statistics(nn.Module):
    """Batch-norm statistics for a range of truncations."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, features: int, config: DeepConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.register_buffer("running_means", torch.empty(config.n_stats, features))
        self.register_buffer("running_vars", torch.empty(config.n_stats, features))

    def normalise(self, x: Tensor, row: StatisticsRow, gain: Tensor, bias: Tensor) -> Tensor:
        """``gain * (x - mean) / sqrt(var + eps) + bias`` as one multiplication and addition per element.

        ``gain`` and ``bias`` are ``[B, C]`` or ``[1, C]``.
        """
        scale = gain * torch.rsqrt(row.of(self.running_vars) + self.eps)
        shift = bias - row.of(self.running_means) * scale
        return torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None])


class _ConditionalBatchNorm(_Statistics):
    """Normalisation whose gain and bias are linear in the condition: ``(1 + G c) norm(x) + B c``."""

    def __init__(self, features: int, config: DeepConfig) -> None:
        super().__init__(features, config)
        self.scale = FixedSpectralLinear(2 * config.z_dim, features, bias=False)
        self.offset = FixedSpectralLinear(2 * config.z_dim, features, bias=False)

    def forward(self, x: Tensor, condition: Tensor, row: StatisticsRow) -> Tensor:
        return self.normalise(x, row, 1 + self.scale(condition), self.offset(condition))


class _BatchNorm(_Statistics):
    """Normalisation with a learned gain and bias."""

    def __init__(self, features: int, config: DeepConfig) -> None:
        super().__init__(features, config)
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))

    def forward(self, x: Tensor, row: StatisticsRow) -> Tensor:
        return self.normalise(x, row, self.weight[None], self.bias[None])


class _SelfAttention(nn.Module):
    """Self-attention over positions with pooled keys and values, entering with weight gamma (SAGAN)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.snconv1x1_theta = FixedSpectralConv2d(features, features // 8, 1, bias=False)
        self.snconv1x1_phi = FixedSpectralConv2d(features, features // 8, 1, bias=False)
        self.snconv1x1_g = FixedSpectralConv2d(features, features // 2, 1, bias=False)
        self.snconv1x1_o_conv = FixedSpectralConv2d(features // 2, features, 1, bias=False)
        self.gamma = nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        query = self.snconv1x1_theta(x).flatten(2).transpose(1, 2)
        key = F.max_pool2d(self.snconv1x1_phi(x), 2).flatten(2)
        value = F.max_pool2d(self.snconv1x1_g(x), 2).flatten(2)
        attended = value @ torch.softmax(query @ key, dim=-1).transpose(1, 2)
        out: Tensor = self.snconv1x1_o_conv(attended.view(*attended.shape[:2], *x.shape[-2:]))
        return x + self.gamma * out


class _Block(nn.Module):
    """Bottleneck of four convolutions; the shortcut drops the upper half of the channels instead of projecting."""

    def __init__(self, in_channels: int, out_channels: int, config: DeepConfig, *, doubles: bool) -> None:
        super().__init__()
        middle = in_channels // _REDUCTION
        self.out_channels, self.doubles = out_channels, doubles
        self.bn_0 = _ConditionalBatchNorm(in_channels, config)
        self.conv_0 = FixedSpectralConv2d(in_channels, middle, 1)
        self.bn_1 = _ConditionalBatchNorm(middle, config)
        self.conv_1 = FixedSpectralConv2d(middle, middle, 3)
        self.bn_2 = _ConditionalBatchNorm(middle, config)
        self.conv_2 = FixedSpectralConv2d(middle, middle, 3)
        self.bn_3 = _ConditionalBatchNorm(middle, config)
        self.conv_3 = FixedSpectralConv2d(middle, out_channels, 1)

    def forward(self, x: Tensor, condition: Tensor, row: StatisticsRow) -> Tensor:
        hidden = self.conv_0(torch.relu_(self.bn_0(x, condition, row)))
        hidden = self.conv_1(self._resize(torch.relu_(self.bn_1(hidden, condition, row))))
        hidden = self.conv_2(torch.relu_(self.bn_2(hidden, condition, row)))
        hidden = self.conv_3(torch.relu_(self.bn_3(hidden, condition, row)))
        out: Tensor = hidden + self._resize(x[:, : self.out_channels])
        return out

    def _resize(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2) if self.doubles else x


class _Stack(nn.Module):
    """Everything after the class embedding."""

    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        width = config.channel_width
        self.gen_z = FixedSpectralLinear(2 * config.z_dim, _BOTTOM_WIDTH**2 * BOTTOM * width)
        layers: list[nn.Module] = []
        for index, (doubles, inputs, outputs) in enumerate(config.layers):
            if index == config.attention_layer_position:
                layers.append(_SelfAttention(width * inputs))
            layers.append(_Block(width * inputs, width * outputs, config, doubles=doubles))
        self.layers = nn.ModuleList(layers)
        self.bn = _BatchNorm(width, config)
        self.conv_to_rgb = FixedSpectralConv2d(width, width, 3)

    def forward(self, condition: Tensor, row: StatisticsRow) -> Tensor:
        # The checkpoints come from TensorFlow: the input layer's outputs are in the order height, width, channel.
        # Left in that order they are what torch calls channels_last, which convolves faster.
        bottom = self.gen_z(condition).view(len(condition), _BOTTOM_WIDTH, _BOTTOM_WIDTH, -1)
        hidden = bottom.permute(0, 3, 1, 2)
        for layer in self.layers:
            hidden = layer(hidden, condition, row) if isinstance(layer, _Block) else layer(hidden)
        # The last convolution has as many outputs as inputs, but only three were trained as colours.
        return torch.tanh(self.conv_to_rgb(torch.relu_(self.bn(hidden, row)), outputs=_COLOURS))


class _Embeddings(nn.Module):
    """The class embeddings, one in each column."""

    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.z_dim, config.num_classes))


class DeepGenerator(nn.Module):
    """z and a class embedding to a colour image in [-1, 1].

    Args:
        config: sizes; any that :class:`~dragoman_biggan.deep_config.DeepConfig` allows.
    """

    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.generator = _Stack(config)

    def forward(self, z: Tensor, embedding: Tensor, truncation: float = 1.0, statistics: str = "exact") -> Tensor:
        """Render.

        Args:
            z: ``[B, z_dim]``, already multiplied by the truncation.
            embedding: class embeddings ``[B, z_dim]``; those of the classes are the columns of ``embeddings.weight``.
            truncation: in (0, 1], chooses the batch-norm statistics.
            statistics: a key of :data:`~dragoman_biggan.truncation.STATISTICS`.

        Returns:
            ``[B, 3, output_dim, output_dim]`` in [-1, 1].

        Raises:
            InputError: the truncation is out of range, or there are no such statistics.
        """
        row = StatisticsRow.at(truncation, self.config.n_stats, statistics)
        images: Tensor = self.generator(torch.cat([z, embedding], dim=1), row)
        return images
