"""The conditional prior of the latents: a discretised Gaussian for each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dragoman_codec.bound import LowerBound, lower_bound

__all__ = ["LARGEST_LEVEL", "LEAST_SCALE", "MOST_BITS", "GaussianConditional", "scale_of_level"]

#: What the range coder needs for the least likely symbol: its Gaussians give 2^-24 to each.
MOST_BITS = 24.0

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
        self.lower_bound_scale = LowerBound(LEAST_SCALE)

    def forward(self, residuals: Tensor, scales: Tensor) -> Tensor:
        """Bits of each residual: minus log2 of the mass of the unit interval around it, at most 24.

        They are computed from logarithms. The mass itself vanishes at some ten deviations, and its gradient with it: a
        latent that is farther out would cost all bits there are, and never learn better.

        Args:
            residuals: latents less their means.
            scales: standard deviations, of the same shape.
        """
        residuals, scales = (_at_least_float32(values) for values in (residuals, scales))
        scales, distance = self.lower_bound_scale(scales), residuals.abs()
        upper, lower = (torch.special.log_ndtr((edge - distance) / scales) for edge in (0.5, -0.5))
        logarithm = upper + torch.log(-torch.expm1(lower - upper))
        return -lower_bound(logarithm / math.log(2), -MOST_BITS)

    @staticmethod
    def levels(scales: Tensor) -> Tensor:
        """The nearest steps of the grid, int64 in [0, LARGEST_LEVEL]."""
        exact = STEPS * torch.log2(scales.clamp(min=LEAST_SCALE) / LEAST_SCALE)
        return exact.round().long().clamp(max=LARGEST_LEVEL)


def scale_of_level(levels: Tensor) -> Tensor:
    """Float64 standard deviations of steps of the grid."""
    table = [LEAST_SCALE * 2 ** (level / STEPS) for level in range(LARGEST_LEVEL + 1)]
    return torch.tensor(table, dtype=torch.float64)[levels.cpu()]


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
