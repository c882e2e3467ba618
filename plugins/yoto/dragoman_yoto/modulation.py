"""Modulation: features scaled and shifted by functions of a condition. One primitive for FiLM, CIN and SPADE."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.errors import InputError, TrainingError

__all__ = ["Modulation"]

_NORMS = ("none", "instance")
_WIDEST = 4096


class Modulation(nn.Module):
    """``norm(h) * (1 + strength * f(c)) + strength * g(c)``, with one small network ``f`` and another ``g``.

    - ``norm="none"`` is FiLM (Perez et al. 2018, arXiv:1709.07871), as loss-conditional training uses it;
    - ``norm="instance"`` is conditional instance normalisation (Dumoulin et al. 2017, arXiv:1610.07629);
    - ``norm="instance"`` and ``spatial`` is modulation by a map (Park et al. 2019, arXiv:1903.07291).

    A small ``strength`` starts near the identity. It belongs after the last convolution of a block, before the
    non-linearity.

    Args:
        features: size of the dimension that is modulated.
        condition: size of the condition.
        hidden: width of the one hidden layer of ``f`` and ``g``.
        strength: factor of their outputs; 0.1 in the published code.
        norm: ``"none"`` or ``"instance"``, without parameters of its own.
        spatial: whether the condition is a map, resized to the features by nearest neighbours.
        dim: which dimension of the features is modulated.

    Raises:
        InputError: the norm is unknown, the width or the strength cannot be, or a map is to modulate features that are
            no map.
    """

    def __init__(
        self,
        features: int,
        condition: int,
        *,
        hidden: int = 64,
        strength: float = 0.1,
        norm: str = "none",
        spatial: bool = False,
        dim: int = 1,
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise InputError(f"A modulation's norm is none or instance, not {norm!r}.")
        if type(hidden) is not int or not 1 <= hidden <= _WIDEST:
            raise InputError(f"A modulation's width is a whole number from 1 to {_WIDEST}, not {hidden!r}.")
        if type(strength) not in (int, float) or not math.isfinite(strength):
            raise InputError(f"A modulation's strength is a finite number, not {strength!r}.")
        if (spatial or norm == "instance") and dim != 1:
            raise InputError("Maps have their features in dimension 1; a spatial or normalised modulation needs maps.")
        self.strength, self.norm, self.spatial, self.dim = strength, norm, spatial, dim
        self.scale = _network(condition, hidden, features, spatial)
        self.shift = _network(condition, hidden, features, spatial)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Modulate.

        Args:
            features: ``[B, ...]``.
            condition: ``[B, K]``, or ``[B, K, H, W]`` if spatial; one row serves all samples.

        Raises:
            TrainingError: there are neither as many rows of the condition as samples, nor one.
        """
        if len(condition) not in (1, len(features)):
            raise TrainingError(
                f"{len(condition)} conditions were given for {len(features)} samples; a network under loss-conditional "
                "training is called on the batch as it is, neither split nor repeated."
            )
        scale, shift = self.coefficients(condition.to(features))
        if self.norm == "instance":
            features = functional.instance_norm(features)
        return features * self._fit(scale, features) + self._fit(shift, features)

    def coefficients(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift, ``[B, features]`` each, or maps if spatial."""
        return 1 + self.strength * self.scale(condition), self.strength * self.shift(condition)

    def _fit(self, values: Tensor, features: Tensor) -> Tensor:
        if self.spatial:
            return functional.interpolate(values, features.shape[2:], mode="nearest")
        shape = [len(values)] + [1] * (features.ndim - 1)
        shape[self.dim] = values.shape[1]
        return values.view(shape)


def _network(condition: int, hidden: int, features: int, spatial: bool) -> nn.Module:
    if spatial:
        first: nn.Module = nn.Conv2d(condition, hidden, 3, padding=1)
        return nn.Sequential(first, nn.LeakyReLU(0.2), nn.Conv2d(hidden, features, 3, padding=1))
    return nn.Sequential(nn.Linear(condition, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, features))


def fold_into(weight: Tensor, scale: Tensor, *, transposed: bool) -> Tensor:
    """A layer's weight whose outputs are scaled: outputs are its second dimension in transposed convolutions."""
    shape = [1] * weight.ndim
    shape[1 if transposed else 0] = -1
    return torch.as_tensor(weight * scale.view(shape))
