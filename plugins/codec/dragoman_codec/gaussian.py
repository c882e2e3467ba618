"""The conditional prior of the latents: a discretised Gaussian for each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dragoman_codec.bottleneck import LEAST_LIKELIHOOD
from dragoman_codec.bound import LowerBound

__all__ = ["LARGEST_LEVEL", "GaussianConditional", "scale_of_level"]

#: Scales below are as good as this one, and above there are none to speak of.
LEAST_SCALE, LARGEST_SCALE = 0.11, 256.0
#: Scales are coded on a grid of so many steps to the octave.
STEPS = 16
LARGEST_LEVEL = round(STEPS * math.log2(LARGEST_SCALE / LEAST_SCALE))
_CELL = 64


class GaussianConditional(nn.Module):
    """Mass of unit intervals under Gaussians of given scales (Balle et al. 2018, arXiv:1802.01436, section 3).

    Buffers are called as in CompressAI 1.2; its table of 64 scales is kept for that, bitstreams here use a finer grid.
    """

    scale_table: Tensor

    def __init__(self) -> None:
        super().__init__()
        table = torch.linspace(math.log(LEAST_SCALE), math.log(LARGEST_SCALE), _CELL).exp()
        self.register_buffer("scale_table", table)
        for name in ("_offset", "_quantized_cdf", "_cdf_length"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int32))
        self.likelihood_lower_bound = LowerBound(LEAST_LIKELIHOOD)
        self.lower_bound_scale = LowerBound(LEAST_SCALE)

    def forward(self, residuals: Tensor, scales: Tensor) -> Tensor:
        """Mass of the unit interval around each residual.

        Args:
            residuals: latents less their means.
            scales: standard deviations, of the same shape.
        """
        scales, distance = self.lower_bound_scale(scales), residuals.abs()
        mass = _normal_cdf((0.5 - distance) / scales) - _normal_cdf((-0.5 - distance) / scales)
        bounded: Tensor = self.likelihood_lower_bound(mass)
        return bounded

    @staticmethod
    def levels(scales: Tensor) -> Tensor:
        """The nearest steps of the grid, int64 in [0, LARGEST_LEVEL]."""
        exact = STEPS * torch.log2(scales.clamp(min=LEAST_SCALE) / LEAST_SCALE)
        return exact.round().long().clamp(max=LARGEST_LEVEL)


def scale_of_level(levels: Tensor) -> Tensor:
    """Float64 standard deviations of steps of the grid."""
    table = [LEAST_SCALE * 2 ** (level / STEPS) for level in range(LARGEST_LEVEL + 1)]
    return torch.tensor(table, dtype=torch.float64)[levels.cpu()]


def _normal_cdf(values: Tensor) -> Tensor:
    # erfc keeps the tails that erf rounds away.
    return 0.5 * torch.erfc(-values / math.sqrt(2))
