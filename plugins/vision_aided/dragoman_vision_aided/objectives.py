"""Adversarial objectives of a critic, per sample: averaged over the logits of a level, summed over levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dragoman.errors import InputError

__all__ = ["OBJECTIVES", "Objective", "objective"]

_Term = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """What logits cost; several levels of logits are what the literature calls the multi-level form of a loss.

    Attributes:
        real: of the head, at real images.
        fake: of the head, at generated images.
        generator: of the generator, at its own images.
    """

    real: _Term
    fake: _Term
    generator: _Term

    def of_real(self, levels: Sequence[Tensor]) -> Tensor:
        """The head's loss at real images, ``[B]``."""
        return _per_sample(self.real, levels)

    def of_fake(self, levels: Sequence[Tensor]) -> Tensor:
        """The head's loss at generated images, ``[B]``."""
        return _per_sample(self.fake, levels)

    def of_generator(self, levels: Sequence[Tensor]) -> Tensor:
        """The generator's loss, ``[B]``."""
        return _per_sample(self.generator, levels)


def _smoothed(target: float) -> _Term:
    # Binary cross-entropy against `target`.
    return lambda logits: target * F.softplus(-logits) + (1 - target) * F.softplus(logits)


def _sigmoid(target: float) -> Objective:
    return Objective(real=_smoothed(target), fake=F.softplus, generator=_smoothed(1.0))


def _hinge(target: float) -> Objective:
    if target != 1.0:
        raise InputError(f"The hinge loss has no labels to smooth; real_target {target} needs the loss 'sigmoid'.")
    return Objective(real=lambda x: F.relu(1 - x), fake=lambda x: F.relu(1 + x), generator=torch.neg)


#: By name.
OBJECTIVES: dict[str, Callable[[float], Objective]] = {"sigmoid": _sigmoid, "hinge": _hinge}


def objective(name: str, real_target: float = 1.0) -> Objective:
    """An objective by name.

    Args:
        name: ``"sigmoid"`` (binary cross-entropy) or ``"hinge"``.
        real_target: what real images count as, in (0.5, 1]: below 1 it smooths their labels, one-sided and for the head
            alone (Salimans et al. 2016, arXiv:1606.03498); the generator aims at 1 all the same.

    Raises:
        InputError: the name is unknown, or the target out of range or without meaning for this loss.
    """
    if name not in OBJECTIVES:
        raise InputError(f"There is no adversarial loss {name!r}; write {' or '.join(OBJECTIVES)}.")
    if not 0.5 < real_target <= 1:
        raise InputError(f"real_target must be in (0.5, 1], not {real_target}.")
    return OBJECTIVES[name](float(real_target))


def _per_sample(term: _Term, levels: Sequence[Tensor]) -> Tensor:
    return torch.stack([term(logits.float()).mean(dim=1) for logits in levels]).sum(dim=0)
