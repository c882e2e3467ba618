"""Affine couplings: each half of the dimensions is scaled and shifted by what the other half and the condition say."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dragoman_cinn.conditioner import ConditionerFactory

__all__ = ["DoubleCoupling", "HalfCoupling"]


class HalfCoupling(nn.Module):
    """``moved * exp(s) + t`` with ``(s, t)`` from the kept half (Dinh et al. 2017, equations 7 and 8).

    The log-scale is bounded softly, ``s = clamp * tanh(raw / clamp)``, so that no step can blow up.

    Args:
        kept: dimensions that stay as they are.
        moved: dimensions that are transformed.
        conditioner: makes the network that computes ``(raw, t)``.
        clamp: bound of the log-scale.
    """

    def __init__(self, kept: int, moved: int, conditioner: ConditionerFactory, clamp: float) -> None:
        super().__init__()
        self.conditioner = conditioner(kept, moved)
        self.clamp = clamp

    def forward(self, kept: Tensor, moved: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The transformed half ``[B, moved]`` and the log-determinant ``[B]``."""
        log_scale, shift = self._log_scale_and_shift(kept, projected)
        return moved * log_scale.exp() + shift, log_scale.sum(dim=1)

    def inverse(self, kept: Tensor, moved: Tensor, projected: Tensor) -> Tensor:
        """Undo :meth:`forward`: the half before it was transformed, ``[B, moved]``."""
        log_scale, shift = self._log_scale_and_shift(kept, projected)
        return (moved - shift) * (-log_scale).exp()

    def _log_scale_and_shift(self, kept: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.conditioner(kept, projected)
        # Under autocast the network answers in bfloat16; the map itself keeps the precision of its input.
        raw, shift = raw.to(kept.dtype), shift.to(kept.dtype)
        return self.clamp * torch.tanh(raw / self.clamp), shift


class DoubleCoupling(nn.Module):
    """Two half couplings in a row, so that every dimension is transformed once. Any number of dimensions, also odd.

    Args:
        size: number of dimensions D.
        conditioner: makes the network of each half.
        clamp: bound of the log-scale.
    """

    def __init__(self, size: int, conditioner: ConditionerFactory, clamp: float) -> None:
        super().__init__()
        self.sizes = (size // 2, size - size // 2)
        first, second = self.sizes
        self.move_second = HalfCoupling(first, second, conditioner, clamp)
        self.move_first = HalfCoupling(second, first, conditioner, clamp)

    def project(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """What the two halves need of the embedded condition ``[B, E]``."""
        return self.move_second.conditioner.project(condition), self.move_first.conditioner.project(condition)

    def forward(self, x: Tensor, projected: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """``[B, D]`` to the transformed ``[B, D]`` and the log-determinant ``[B]``."""
        first, second = x[:, : self.sizes[0]], x[:, self.sizes[0] :]
        second, log_det_second = self.move_second(first, second, projected[0])
        first, log_det_first = self.move_first(second, first, projected[1])
        return torch.cat([first, second], dim=1), log_det_second + log_det_first

    def inverse(self, y: Tensor, projected: tuple[Tensor, Tensor]) -> Tensor:
        """Undo :meth:`forward`."""
        first, second = y[:, : self.sizes[0]], y[:, self.sizes[0] :]
        first = self.move_first.inverse(second, first, projected[1])
        second = self.move_second.inverse(first, second, projected[0])
        return torch.cat([first, second], dim=1)
