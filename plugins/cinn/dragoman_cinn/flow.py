"""The conditional flow: ridge maps, then ActNorm, double coupling and permutation, repeated."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from dragoman_cinn.actnorm import ActNorm
from dragoman_cinn.conditioner import ConditionerFactory
from dragoman_cinn.coupling import DoubleCoupling
from dragoman_cinn.permutation import Permutation
from dragoman_cinn.ridge import RidgeMaps, Ridges

__all__ = ["Block", "ConditionalFlow", "Projections", "gaussian_nll"]


class Projections(NamedTuple):
    """The embedded condition as each layer needs it: computed once, used in both directions.

    Attributes:
        ridges: of the ridge maps, if the flow has any.
        couplings: of both halves of each coupling.
    """

    ridges: Ridges | None
    couplings: list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """ActNorm, double affine coupling, fixed permutation.

    Args:
        size: number of dimensions D.
        conditioner: makes the networks of the coupling.
        clamp: bound of the log-scales.
        generator: source of the permutation.
    """

    def __init__(self, size: int, conditioner: ConditionerFactory, clamp: float, generator: torch.Generator) -> None:
        super().__init__()
        self.actnorm = ActNorm(size)
        self.coupling = DoubleCoupling(size, conditioner, clamp)
        self.permutation = Permutation(size, generator)

    def forward(self, x: Tensor, projected: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """``[B, D]`` to ``[B, D]`` and the log-determinant ``[B]``."""
        x, log_det_norm = self.actnorm(x)
        x, log_det = self.coupling(x, projected)
        return self.permutation(x), log_det + log_det_norm

    def inverse(self, y: Tensor, projected: tuple[Tensor, Tensor]) -> Tensor:
        """Undo :meth:`forward`."""
        return self.actnorm.inverse(self.coupling.inverse(self.permutation.inverse(y), projected))


class ConditionalFlow(nn.Module):
    """An invertible map of ``x`` to a residual ``v``, one for each condition; ``v`` is standard normal.

    Args:
        size: number of dimensions D.
        depth: number of blocks.
        conditioner: makes the networks of the couplings.
        clamp: bound of the log-scales.
        generator: source of the permutations.
        ridges: the ridge maps that come first, if any.
    """

    def __init__(
        self,
        size: int,
        depth: int,
        conditioner: ConditionerFactory,
        clamp: float,
        generator: torch.Generator,
        ridges: RidgeMaps | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.ridges = ridges
        self.blocks = nn.ModuleList(Block(size, conditioner, clamp, generator) for _ in range(depth))

    @property
    def steps(self) -> list[Block]:
        """The blocks, in the order of :meth:`forward`."""
        return cast("list[Block]", list(self.blocks))

    def project(self, condition: Tensor) -> Projections:
        """The embedded condition ``[B, E]`` as each layer needs it."""
        ridges = None if self.ridges is None else self.ridges.project(condition)
        return Projections(ridges, [block.coupling.project(condition) for block in self.steps])

    @torch.no_grad()
    def initialize(self, x: Tensor, projections: Projections) -> None:
        """Initialise the ActNorms from a batch, in order, each on what reaches it."""
        x, _ = self._along_ridges(x, projections)
        for block, projected in zip(self.steps, projections.couplings, strict=True):
            block.actnorm.initialize(x)
            x, _ = block(x, projected)

    def forward(self, x: Tensor, projections: Projections) -> tuple[Tensor, Tensor]:
        """``x`` ``[B, D]`` to the residual ``[B, D]`` and ``log |det dv/dx|`` ``[B]``, in nats."""
        x, log_det = self._along_ridges(x, projections)
        for block, projected in zip(self.steps, projections.couplings, strict=True):
            x, step = block(x, projected)
            log_det = log_det + step
        return x, log_det

    def inverse(self, residual: Tensor, projections: Projections) -> Tensor:
        """The ``x`` of which :meth:`forward` makes ``residual``, both ``[B, D]``."""
        for block, projected in zip(reversed(self.steps), reversed(projections.couplings), strict=True):
            residual = block.inverse(residual, projected)
        if self.ridges is None or projections.ridges is None:
            return residual
        return self.ridges.inverse(residual, projections.ridges)

    def _along_ridges(self, x: Tensor, projections: Projections) -> tuple[Tensor, Tensor]:
        if self.ridges is None or projections.ridges is None:
            return x, x.new_zeros(len(x))
        moved: tuple[Tensor, Tensor] = self.ridges(x, projections.ridges)
        return moved


def gaussian_nll(residual: Tensor) -> Tensor:
    """Negative log-density of a standard normal in nats, with its constant: ``[B, D]`` to ``[B]``."""
    return 0.5 * (residual.square().sum(dim=1) + residual.shape[1] * math.log(2 * math.pi))
