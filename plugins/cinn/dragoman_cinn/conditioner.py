"""Conditioners: the networks that compute the log-scale and shift of a coupling from what the coupling keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Conditioner", "ConditionerFactory", "ResidualConditioner", "SeparateConditioner"]


class Conditioner(nn.Module):
    """From the kept dimensions and the condition to a raw log-scale and a shift of the moved ones."""

    def project(self, condition: Tensor) -> Tensor:
        """What :meth:`forward` needs of the embedded condition ``[B, E]``; the same for any kept dimensions."""
        raise NotImplementedError

    def forward(self, kept: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Raw log-scale and shift.

        Args:
            kept: ``[B, kept]``.
            projected: from :meth:`project`.

        Returns:
            Two ``[B, moved]``; the log-scale is not bounded yet.
        """
        raise NotImplementedError


#: Makes the conditioner of a half coupling from the number of kept and of moved dimensions.
ConditionerFactory: TypeAlias = Callable[[int, int], Conditioner]


class ResidualConditioner(Conditioner):
    """One residual network with LayerNorm and SiLU for log-scale and shift together.

    Its last layer is zero at first, so that a fresh flow is its ActNorms and permutations alone.

    Args:
        kept: dimensions that it sees.
        moved: dimensions that it moves.
        condition: size E of the embedded condition.
        width: width of the residual stream.
        layers: number of residual layers.
    """

    def __init__(self, kept: int, moved: int, condition: int, width: int, layers: int) -> None:
        super().__init__()
        self.kept = nn.Linear(kept, width, bias=False)
        self.condition = nn.Linear(condition, width)
        self.layers = nn.ModuleList(_residual_layer(width) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), _zeros(nn.Linear(width, 2 * moved)))

    def project(self, condition: Tensor) -> Tensor:
        """``[B, E]`` to ``[B, width]``."""
        projected: Tensor = self.condition(condition)
        return projected

    def forward(self, kept: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Raw log-scale and shift, two ``[B, moved]``."""
        hidden = self.kept(kept) + projected
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        log_scale, shift = self.out(hidden).chunk(2, dim=1)
        return log_scale, shift


class SeparateConditioner(Conditioner):
    """Two separate networks, one for the log-scale and one for the shift, each of ``layers + 2`` linear layers.

    The layout of Rombach, Esser and Ommer 2020 (arXiv:2005.13580, supplement): LeakyReLU, no normalisation, the
    condition concatenated to the kept dimensions.

    Args:
        kept: dimensions that it sees.
        moved: dimensions that it moves.
        condition: size E of the embedded condition.
        width: width of the hidden layers.
        layers: number of hidden layers between the first and the last.
    """

    def __init__(self, kept: int, moved: int, condition: int, width: int, layers: int) -> None:
        super().__init__()
        self.log_scale = _plain_network(kept + condition, width, layers, moved)
        self.shift = _plain_network(kept + condition, width, layers, moved)

    def project(self, condition: Tensor) -> Tensor:
        """The embedded condition as it is."""
        return condition

    def forward(self, kept: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Raw log-scale and shift, two ``[B, moved]``."""
        joined = torch.cat([kept, projected], dim=1)
        return self.log_scale(joined), self.shift(joined)


def _residual_layer(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), _zeros(nn.Linear(width, width))
    )


def _plain_network(size: int, width: int, layers: int, out: int) -> nn.Sequential:
    hidden = [part for _ in range(layers) for part in (nn.Linear(width, width), nn.LeakyReLU(0.01))]
    return nn.Sequential(nn.Linear(size, width), nn.LeakyReLU(0.01), *hidden, nn.Linear(width, out))


def _zeros(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
