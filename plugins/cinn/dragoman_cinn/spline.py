"""Monotonic rational-quadratic splines (Durkan, Bekasov, Murray, Papamakarios 2019, Neural Spline Flows)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Spline", "parameters_of"]

#: Splines bend inside [-BOUND, BOUND] and are the identity outside.
BOUND = 5.0
#: Smallest share of a bin in the interval, and smallest slope at a knot. They keep the inverse precise in float32
#: also where no training sample was: an edit takes a sample to conditions that it does not fit.
SMALLEST_SHARE, SMALLEST_SLOPE = 0.02, 0.1


def parameters_of(bins: int) -> int:
    """How many numbers make a spline of that many bins."""
    return 3 * bins - 1


class Spline(NamedTuple):
    """A batch of splines: their knots, and each bin between two of them.

    Attributes:
        x: ``[..., bins + 1]``, increasing from ``-BOUND`` to ``BOUND``.
        y: the same for the values.
        bins: ``[..., bins, 6]``, the numbers of each :class:`_Bin`; the slope is 1 at both ends of a spline.
    """

    x: Tensor
    y: Tensor
    bins: Tensor

    @classmethod
    def make(cls, raw: Tensor) -> Spline:
        """From unconstrained numbers ``[..., 3 * bins - 1]``; zeros make the identity."""
        bins = (raw.shape[-1] + 1) // 3
        widths, heights, slopes = raw.split([bins, bins, bins - 1], dim=-1)
        # The shift makes the slope of zeros 1.
        inner = SMALLEST_SLOPE + F.softplus(slopes + math.log(math.expm1(1 - SMALLEST_SLOPE)))
        x, y, slope = _knots(widths), _knots(heights), F.pad(inner, (1, 1), value=1.0)
        parts = x[..., :-1], x.diff(dim=-1), y[..., :-1], y.diff(dim=-1), slope[..., :-1], slope[..., 1:]
        return cls(x, y, torch.stack(parts, dim=-1))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and log-slopes at ``x`` ``[...]`` (their equations 4 and 5)."""
        inner, bin_, position = self._found(x)
        return bin_.value(position) + (x - inner), bin_.log_slope(position)

    def value(self, x: Tensor) -> Tensor:
        """Values alone."""
        inner, bin_, position = self._found(x)
        return bin_.value(position) + (x - inner)

    def inverse(self, y: Tensor) -> Tensor:
        """The ``x`` of which the splines make ``y`` (their equations 6 to 8)."""
        inner = y.clamp(-BOUND, BOUND)
        bin_ = self._bin(inner, self.y)
        return bin_.x + bin_.width * bin_.position_of(inner) + (y - inner)

    def _found(self, x: Tensor) -> tuple[Tensor, _Bin, Tensor]:
        """The nearest point inside the bounds, its bin, and its position there."""
        inner = x.clamp(-BOUND, BOUND)
        bin_ = self._bin(inner, self.x)
        return inner, bin_, (inner - bin_.x) / bin_.width

    def _bin(self, value: Tensor, knots: Tensor) -> _Bin:
        index = (value.unsqueeze(-1) >= knots[..., 1:-1]).sum(dim=-1)[..., None, None]
        return _Bin(*self.bins.take_along_dim(index, dim=-2).squeeze(-2).unbind(-1))


class _Bin(NamedTuple):
    """One bin of each spline: where it starts, its size, and the slopes at its two knots."""

    x: Tensor
    width: Tensor
    y: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    def value(self, position: Tensor) -> Tensor:
        """The value at a position in [0, 1] of the bin."""
        mean, curve, denominator = self._at(position)
        return self.y + self.height * (mean * position.square() + self.left * curve) / denominator

    def log_slope(self, position: Tensor) -> Tensor:
        """The logarithm of the slope there."""
        mean, curve, denominator = self._at(position)
        numerator = self.right * position.square() + 2 * mean * curve + self.left * (1 - position).square()
        return 2 * mean.log() + numerator.log() - 2 * denominator.log()

    def _at(self, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, curve = self.height / self.width, position * (1 - position)
        return mean, curve, mean + (self.left + self.right - 2 * mean) * curve

    def position_of(self, y: Tensor) -> Tensor:
        """The position in [0, 1] that has that value: the root of a quadratic, in its stable form."""
        mean, rise = self.height / self.width, y - self.y
        bend = rise * (self.left + self.right - 2 * mean)
        a, b, c = self.height * (mean - self.left) + bend, self.height * self.left - bend, -mean * rise
        return 2 * c / (-b - (b.square() - 4 * a * c).clamp_min(0).sqrt())


def _knots(raw: Tensor) -> Tensor:
    bins = raw.shape[-1]
    share = SMALLEST_SHARE + (1 - SMALLEST_SHARE * bins) * torch.softmax(raw, dim=-1)
    inner = share.cumsum(dim=-1)[..., :-1] * 2 * BOUND - BOUND
    return F.pad(F.pad(inner, (1, 0), value=-BOUND), (0, 1), value=BOUND)
