"""Ridge maps: a condition reshapes the distribution along a direction of its own choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_cinn.spline import Spline, parameters_of

__all__ = ["RidgeMaps", "Ridges"]

#: Bins of the splines.
BINS = 8


class Ridges(NamedTuple):
    """K ridge maps for each condition of a batch, in the order in which they are applied.

    Attributes:
        directions: unit vectors ``[B, K, D]``.
        log_scales: ``[B, K]``.
        shifts: ``[B, K]``.
        splines: ``[B, K]`` of them.
    """

    directions: Tensor
    log_scales: Tensor
    shifts: Tensor
    splines: Spline

    def each(self) -> Iterator[_Ridge]:
        """The maps one by one, without their directions."""
        splines = (Spline(*parts) for parts in zip(*(part.unbind(1) for part in self.splines), strict=True))
        return map(_Ridge, self.log_scales.exp().unbind(1), self.shifts.unbind(1), splines)

    def push(self, along: Tensor) -> tuple[Tensor, Tensor]:
        """How far each map moves what lies at ``along`` on its direction, and its log-slope there, ``[B, K]``."""
        moved, log_slope = self.splines(along * self.log_scales.exp() + self.shifts)
        return moved - along, self.log_scales + log_slope


class _Ridge(NamedTuple):
    """One of the maps, for each condition of a batch."""

    scale: Tensor
    shift: Tensor
    spline: Spline

    def push(self, along: Tensor) -> Tensor:
        return self.spline.value(along * self.scale + self.shift) - along

    def pull(self, along: Tensor) -> Tensor:
        return (self.spline.inverse(along) - self.shift) / self.scale - along


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
        return Ridges(F.normalize(directions, dim=2), log_scales, raw[..., 1], Spline.make(raw[..., 2:]))

    def forward(self, x: Tensor, ridges: Ridges) -> tuple[Tensor, Tensor]:
        """``[B, D]`` to ``[B, D]`` and the log-determinant ``[B]``; differentiable once."""
        with _precisely(x):
            push, log_slope = ridges.push(_along_each(x, ridges))
            return x + torch.einsum("bk,bkd->bd", push, ridges.directions), log_slope.sum(dim=1)

    def inverse(self, y: Tensor, ridges: Ridges) -> Tensor:
        """Undo :meth:`forward`."""
        with _precisely(y):
            along, overlap = _along(y, ridges)
            moves = []
            for index, ridge in reversed(list(enumerate(ridges.each()))):
                moves.append(ridge.pull(along[:, index]))
                along = along + moves[-1].unsqueeze(1) * overlap[:, index]
            return y + torch.einsum("bk,bkd->bd", torch.stack(moves[::-1], dim=1), ridges.directions)


def _precisely(x: Tensor) -> AbstractContextManager[object]:
    """Without autocast, which the meta device does not have: products in bfloat16 would not be inverted."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def _along(x: Tensor, ridges: Ridges) -> tuple[Tensor, Tensor]:
    """Where ``x`` lies along each direction, ``[B, K]``, and the directions' products, ``[B, K, K]``."""
    directions = ridges.directions
    return torch.einsum("bkd,bd->bk", directions, x), directions @ directions.mT


def _along_each(x: Tensor, ridges: Ridges) -> Tensor:
    """Where along its direction each map finds what the maps before it have moved, ``[B, K]``.

    Only these K numbers depend on each other, so they are found one by one without autograd. A step of Newton's method
    then leaves them where they are, and carries their gradient for all maps at once: ten times fewer operations.
    """
    start, overlap = _along(x, ridges)
    before = overlap.tril(-1)
    with torch.no_grad():
        found = start.clone()
        for index, (ridge, products) in enumerate(zip(ridges.each(), before.unbind(2), strict=True)):
            found += ridge.push(found[:, index]).unsqueeze(1) * products
    push, log_slope = ridges.push(found)
    missing = start + torch.einsum("bij,bj->bi", before, push) - found
    step = torch.eye(found.shape[1]).to(found) - before.detach() * (log_slope.detach().exp() - 1).unsqueeze(1)
    further: Tensor = torch.linalg.solve_triangular(step, missing.unsqueeze(2), upper=False, unitriangular=True)
    return found + further.squeeze(2)
