"""Ridge maps: a condition reshapes the distribution along a direction of its own choice."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_cinn.spline import Spline, parameters_of

__all__ = ["RidgeMaps", "Ridges"]

#: Bins of the splines.
BINS = 8


class Ridges(NamedTuple):
    """Ridge maps of a batch of conditions, one entry for each in the order in which they are applied.

    Attributes:
        directions: unit vectors ``[B, D]``.
        log_scales: ``[B]``.
        shifts: ``[B]``.
        splines: one spline for each sample.
    """

    directions: tuple[Tensor, ...]
    log_scales: tuple[Tensor, ...]
    shifts: tuple[Tensor, ...]
    splines: tuple[Spline, ...]


class RidgeMaps(nn.Module):
    """``x + w * (g(w @ x) - w @ x)`` for a unit vector ``w`` and a monotonic ``g`` that both depend on the condition.

    The map moves ``x`` along ``w`` alone, so its inverse is the same with the inverse of ``g``, and its determinant
    is ``g'(w @ x)``. What a condition says is often the level of one quantity ("bright"): along that quantity's
    direction the distribution is cut off, everywhere else it stays as it was. A ridge map learns this in a few
    numbers, where couplings need many layers. ``g`` is an affine map followed by a spline.

    Args:
        size: number of dimensions D.
        condition: size E of the embedded condition.
        count: number of maps, applied one after the other.
        clamp: bound of the log-scales.
    """

    def __init__(self, size: int, condition: int, count: int, clamp: float) -> None:
        super().__init__()
        self.size, self.count, self.clamp = size, count, clamp
        self.norm = nn.Sequential(nn.LayerNorm(condition), nn.SiLU())
        self.direction = nn.Linear(condition, count * size)
        self.shape = nn.Linear(condition, count * (2 + parameters_of(BINS)))
        nn.init.zeros_(self.shape.weight)
        nn.init.zeros_(self.shape.bias)

    def project(self, condition: Tensor) -> Ridges:
        """The maps of embedded conditions ``[B, E]``."""
        normed = self.norm(condition)
        # Under autocast the networks answer in bfloat16; unit vectors and knots need the precision of the weights.
        precise = self.direction.weight.dtype
        directions = self.direction(normed).to(precise).unflatten(1, (self.count, self.size))
        raw = self.shape(normed).to(precise).unflatten(1, (self.count, -1))
        log_scales = self.clamp * torch.tanh(raw[..., 0] / self.clamp)
        knots = Spline.make(raw[..., 2:])
        splines = tuple(Spline(*parts) for parts in zip(*(part.unbind(1) for part in knots), strict=True))
        return Ridges(F.normalize(directions, dim=2).unbind(1), log_scales.unbind(1), raw[..., 1].unbind(1), splines)

    def forward(self, x: Tensor, ridges: Ridges) -> tuple[Tensor, Tensor]:
        """``[B, D]`` to ``[B, D]`` and the log-determinant ``[B]``."""
        log_det = x.new_zeros(len(x))
        for direction, log_scale, shift, spline in zip(*ridges, strict=True):
            along = (x * direction).sum(dim=1)
            moved, log_slope = spline(along * log_scale.exp() + shift)
            x = x + (moved - along).unsqueeze(1) * direction
            log_det = log_det + log_scale + log_slope
        return x, log_det

    def inverse(self, y: Tensor, ridges: Ridges) -> Tensor:
        """Undo :meth:`forward`."""
        for direction, log_scale, shift, spline in reversed(list(zip(*ridges, strict=True))):
            along = (y * direction).sum(dim=1)
            moved = (spline.inverse(along) - shift) * (-log_scale).exp()
            y = y + (moved - along).unsqueeze(1) * direction
        return y
