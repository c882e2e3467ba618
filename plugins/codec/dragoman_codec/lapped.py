"""A hyperprior whose transforms are shallow and begin as principal components: it learns within minutes."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman_codec.bound import lower_bound
from dragoman_codec.gaussian import LARGEST_SCALE, LEAST_SCALE
from dragoman_codec.gdn import GDN
from dragoman_codec.hyperprior import MeanScaleHyperprior, down, up

__all__ = ["LappedHyperprior"]

#: Side of the blocks that the first layer transforms; it sees as much again around them.
_BLOCK = 8
#: Latents to the unit of brightness: the best step of quantisation at lambda near 0.009 is 55 of 255.
_GAIN = 4.6
#: Share of the random weights that stay beside the components.
_RANDOM = 0.02
#: Coefficients are larger than what GDN usually normalises.
_GAMMA = 0.005
#: What is left of the random weights that make scales and means of side information which says nothing yet.
_FLAT = 0.1
_GREY = 0.5


class LappedHyperprior(MeanScaleHyperprior):
    """Means and scales (Minnen et al. 2018) of a lapped transform of two layers.

    The first layer turns blocks of 8 x 8 pixels, with 4 more on each side, into N coefficients, the second 2 x 2 of
    these with their neighbours into M latents; between them is a generalised divisive normalisation. As in the deep
    architectures, a map of latents has a sixteenth of the image's sides. :meth:`start` lets the two layers begin as
    principal components of photographs, where training takes a deep stack long to arrive. Scales are learned by their
    logarithm.

    Args:
        N: coefficients of a block; half as many channels of side information.
        M: latents.
    """

    last: ClassVar[str] = "g_s.2"

    def transforms(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Two layers each, on pixels around 0."""
        wide, around = 2 * _BLOCK, _BLOCK // 2
        first, last = nn.Conv2d(3, N, wide, _BLOCK, around), nn.ConvTranspose2d(N, 3, wide, _BLOCK, around)
        second, third = nn.Conv2d(N, M, 4, 2, 1), nn.ConvTranspose2d(M, N, 4, 2, 1)
        normalise, undo = GDN(N, gamma=_GAMMA), GDN(N, gamma=_GAMMA, inverse=True)
        analysis = nn.Sequential(_Shift(-_GREY), first, normalise, second)
        return analysis, nn.Sequential(third, undo, last, _Shift(_GREY))

    def hyper(self, N: int, M: int) -> tuple[nn.Sequential, nn.Sequential]:
        """As narrow as the side information."""
        S, leaky = self.S, nn.LeakyReLU
        analysis = nn.Sequential(nn.Conv2d(M, S, 3, padding=1), leaky(), down(S, S), leaky(), down(S, S))
        return analysis, nn.Sequential(up(S, S), leaky(), up(S, S), leaky(), nn.Conv2d(S, 2 * M, 3, padding=1))

    def side_channels(self, N: int) -> int:
        """Half of the others."""
        return max(1, N // 2)

    def prior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Both learned; the scales from their logarithms, which are bounded as the scales are."""
        logarithms, means = self.h_s(z).chunk(2, dim=1)
        bounded = lower_bound(logarithms, math.log(LEAST_SCALE)).clamp(max=math.log(LARGEST_SCALE))
        return means, bounded.exp()

    @torch.no_grad()
    def start(self, images: Tensor) -> None:
        """Begin with the principal components of some images, and with scales that suit their latents."""
        centred = images - _GREY
        first = _components(_blocks(centred, _BLOCK), self.N).view(self.N, 3, _BLOCK, _BLOCK)
        for layer in (self.g_a[1], self.g_s[2]):
            _begin(layer, first, random=_RANDOM**2)
        coefficients = self.g_a[2](self.g_a[1](centred))
        second = _components(_blocks(coefficients, 2), self.M).view(self.M, self.N, 2, 2)
        _begin(self.g_a[3], _GAIN * second, random=_RANDOM)
        _begin(self.g_s[0], second / _GAIN, random=_RANDOM / _GAIN)
        last = self.h_s[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.mul_(_FLAT)
        super().start(images)

    def _unscaled(self, scales: Tensor) -> Tensor:
        return scales.log()


class _Shift(nn.Module):
    """Adds a number, so that the zeros around an image are no edge."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, values: Tensor) -> Tensor:
        return values + self.offset


def _blocks(maps: Tensor, side: int) -> Tensor:
    """Maps ``[B, C, H, W]`` to their blocks as rows, ``[blocks, C * side^2]``."""
    return functional.unfold(maps, side, stride=side).transpose(1, 2).flatten(0, 1)


def _components(rows: Tensor, count: int) -> Tensor:
    """The first principal components, ``[count, D]``, orthonormal; zeros where there are no more."""
    centred = (rows - rows.mean(dim=0)).double()
    vectors = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1).T[:count]
    return functional.pad(vectors, (0, 0, 0, count - len(vectors))).to(rows)


def _begin(layer: nn.Module, kernels: Tensor, random: float) -> None:
    """Kernels in the middle of a layer's own, beside a share of its random weights."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    margin = (layer.kernel_size[0] - kernels.shape[2]) // 2
    layer.weight.mul_(random).add_(functional.pad(kernels, (margin,) * 4))
