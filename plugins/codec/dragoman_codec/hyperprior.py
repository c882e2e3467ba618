"""The networks: analysis and synthesis of images, and of the side information on the scales of their latents."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from dragoman_codec.bottleneck import EntropyBottleneck
from dragoman_codec.gaussian import GaussianConditional
from dragoman_codec.gdn import GDN

__all__ = ["Hyperprior", "MeanScaleHyperprior", "Reconstruction", "ScaleHyperprior", "down", "up"]


#: Standard deviation of the first latents, about.
_SPREAD = 8.0
#: Least mean magnitude of a latent that is worth a scale of its own.
_FAINT = 0.2


class Reconstruction(NamedTuple):
    """What a codec makes of a batch.

    Attributes:
        images: ``[B, 3, H, W]``, not clipped.
        y: bits of the latents, ``[B, M, H/16, W/16]``.
        z: bits of the side information.
    """

    images: Tensor
    y: Tensor
    z: Tensor

    def bits(self) -> Tensor:
        """Ideal length of each sample's code, ``[B]``."""
        return self.y.flatten(1).sum(dim=1) + self.z.flatten(1).sum(dim=1)


class Hyperprior(nn.Module):
    """What both architectures share. Names of the parts and their parameters are CompressAI's.

    Args:
        N: channels of the convolutions.
        M: channels of the latents.
    """

    #: Sides of images are multiples of it.
    stride: ClassVar[int] = 64
    #: The layer that makes pixels.
    last: ClassVar[str] = "g_s.6"

    def __init__(self, N: int, M: int) -> None:
        super().__init__()
        self.N, self.M, self.S = N, M, self.side_channels(N)
        self.entropy_bottleneck = EntropyBottleneck(self.S)
        self.gaussian_conditional = GaussianConditional()
        self.g_a, self.g_s = self.transforms(N, M)
        self.h_a, self.h_s = self.hyper(N, M)
        for part in (self.g_a, self.g_s, self.h_a, self.h_s):
            _keep_variance(part)
        with torch.no_grad():  # latents are rounded to integers: they have to be larger than 1 to say anything
            _last(self.g_a).weight.mul_(_SPREAD)
            _first(self.g_s).weight.div_(_SPREAD)

    def transforms(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Analysis and synthesis of images."""
        analysis = nn.Sequential(down(3, N), GDN(N), down(N, N), GDN(N), down(N, N), GDN(N), down(N, M))
        inverse = [GDN(N, inverse=True) for _ in range(3)]
        return analysis, nn.Sequential(up(M, N), inverse[0], up(N, N), inverse[1], up(N, N), inverse[2], up(N, 3))

    def hyper(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Analysis and synthesis of the side information."""
        raise NotImplementedError

    def side_channels(self, N: int) -> int:
        """Channels of the side information."""
        return N

    def side(self, y: Tensor) -> Tensor:
        """Latents ``[B, M, h, w]`` to side information ``[B, S, h/4, w/4]``, not rounded."""
        raise NotImplementedError

    def prior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Side information to means and scales of the latents."""
        raise NotImplementedError

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
        """Images ``[B, 3, H, W]`` in [0, 1] with sides that are multiples of 64.

        Args:
            images: the images.
            generator: adds uniform noise in place of rounding, as in training; without it, values are rounded.
        """
        y = self.g_a(images)
        z = self.side(y)
        z = self.entropy_bottleneck.round(z) if generator is None else z + _noise(z, generator)
        means, scales = self.prior(z)
        residuals = y - means
        coded = residuals.round() if generator is None else residuals + _noise(y, generator)
        bits = self.gaussian_conditional(coded, scales)
        return Reconstruction(self.g_s(coded + means), bits, self.entropy_bottleneck(z))

    @torch.no_grad()
    def start(self, images: Tensor) -> None:
        """Begin training with scales that suit the latents of some images, so that no latent is an outlier.

        Args:
            images: ``[B, 3, H, W]`` in [0, 1].
        """
        last = _last_convolution(self.h_s)
        assert last.bias is not None
        last.bias[: self.M] = self._unscaled(self.g_a(images).abs().mean(dim=(0, 2, 3)) + _FAINT)

    def _unscaled(self, scales: Tensor) -> Tensor:
        """What the synthesis of the side information has to say for these scales."""
        return scales


class ScaleHyperprior(Hyperprior):
    """Latents of mean zero and learned scale (Balle et al. 2018, arXiv:1802.01436)."""

    def hyper(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Scales come out positive."""
        analysis = nn.Sequential(nn.Conv2d(M, N, 3, padding=1), nn.ReLU(), down(N, N), nn.ReLU(), down(N, N))
        synthesis = (up(N, N), nn.ReLU(), up(N, N), nn.ReLU(), nn.Conv2d(N, M, 3, padding=1), nn.ReLU())
        return analysis, nn.Sequential(*synthesis)

    def side(self, y: Tensor) -> Tensor:
        """Of absolute values: the sign says nothing of a scale."""
        side: Tensor = self.h_a(y.abs())
        return side

    def prior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Means are zero."""
        scales = self.h_s(z)
        return torch.zeros_like(scales), scales


class MeanScaleHyperprior(Hyperprior):
    """Latents of learned mean and scale (Minnen, Balle, Toderici 2018, arXiv:1809.02736)."""

    def hyper(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Scales and means come out one after the other."""
        leaky, wide = nn.LeakyReLU, M * 3 // 2
        analysis = nn.Sequential(nn.Conv2d(M, N, 3, padding=1), leaky(), down(N, N), leaky(), down(N, N))
        last = nn.Conv2d(wide, 2 * M, 3, padding=1)
        return analysis, nn.Sequential(up(N, M), leaky(), up(M, wide), leaky(), last)

    def side(self, y: Tensor) -> Tensor:
        """Of the latents as they are."""
        side: Tensor = self.h_a(y)
        return side

    def prior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Both learned."""
        scales, means = self.h_s(z).chunk(2, dim=1)
        return means, scales


def _keep_variance(part: nn.Sequential) -> None:
    """Draw weights with which a layer's outputs vary as much as its inputs; torch's own shrink transposed layers."""
    for layer in part:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # Each output of a transposed convolution sees one in stride^2 of the kernel's weights.
            thinned = layer.stride[0] * layer.stride[1] if isinstance(layer, nn.ConvTranspose2d) else 1
            seen = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] / thinned
            nn.init.normal_(layer.weight, std=seen**-0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _first(part: nn.Sequential) -> nn.ConvTranspose2d:
    layer = part[0]
    assert isinstance(layer, nn.ConvTranspose2d)
    return layer


def _last(part: nn.Sequential) -> nn.Conv2d:
    layer = part[-1]
    assert isinstance(layer, nn.Conv2d)
    return layer


def _last_convolution(part: nn.Sequential) -> nn.Conv2d:
    return [layer for layer in part if isinstance(layer, nn.Conv2d)][-1]


def down(inside: int, outside: int) -> nn.Conv2d:
    """Half the sides."""
    return nn.Conv2d(inside, outside, 5, stride=2, padding=2)


def up(inside: int, outside: int) -> nn.ConvTranspose2d:
    """Twice the sides."""
    return nn.ConvTranspose2d(inside, outside, 5, stride=2, padding=2, output_padding=1)


def _noise(values: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(values.shape, generator=generator, device=generator.device) - 0.5).to(values)
