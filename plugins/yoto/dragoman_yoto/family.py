"""A family of losses: named losses, and the coefficients by which they are weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dragoman.errors import InputError, TrainingError
from dragoman.knobs import Knob, check_knobs
from dragoman.training.method import Losses
from dragoman_yoto.coefficient import Coefficient

__all__ = ["NORMALISATIONS", "LossFamily"]

#: What the coefficients of a sample are divided by: nothing, their geometric mean, or their sum.
NORMALISATIONS = ("none", "geometric", "sum")


@dataclass(frozen=True)
class LossFamily:
    """The losses ``sum_k w_k L_k`` for all coefficients ``w`` in a box (Dosovitskiy, Djolonga 2020, eq. 2).

    Losses without a coefficient keep the factor 1. A network sees a coefficient as its position in the range, on the
    scale on which it is drawn; the published code feeds the plain logarithm, of which this is a linear function.

    Args:
        coefficients: one for each loss that has one.
        normalisation: what a sample's coefficients are divided by before they weigh its losses, one of
            :data:`NORMALISATIONS`. Log-uniform coefficients make losses differ by orders of magnitude; dividing by the
            geometric mean keeps the gradients of all members of the family alike, and moves no member's minimum.
        balance: decay of running means by which the losses are divided before they are weighted, so that losses of
            different scale count alike; 0 leaves them as they are.

    Raises:
        InputError: there is no coefficient, two are of one name, or the normalisation is unknown.
    """

    coefficients: tuple[Coefficient, ...]
    normalisation: str = "none"
    balance: float = 0.0

    def __post_init__(self) -> None:
        if not self.coefficients:
            raise InputError("A loss family needs at least one coefficient.")
        for names in ([one.loss for one in self.coefficients], [one.name for one in self.coefficients]):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise InputError(f"Two coefficients of the loss family are called {twice[0]!r}.")
        if self.normalisation not in NORMALISATIONS:
            known = ", ".join(NORMALISATIONS)
            raise InputError(f"The normalisation of a loss family is one of {known}, not {self.normalisation!r}.")
        if not 0 <= self.balance < 1:
            raise InputError(f"The decay of a loss family's running means is in [0, 1), not {self.balance}.")
        if self.normalisation == "geometric" and any(one.low == 0 for one in self.coefficients):
            raise InputError("Coefficients that may be 0 have no geometric mean; choose another normalisation.")

    @property
    def varying(self) -> tuple[Coefficient, ...]:
        """Those that are not fixed: the knobs."""
        return tuple(one for one in self.coefficients if one.varies)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Coefficients of ``n`` samples, independent of each other, float64 ``[n, K]`` on the generator's device."""
        return torch.stack([one.draw(n, generator) for one in self.coefficients], dim=1)

    def condition(self, values: Tensor) -> Tensor:
        """What a network is told: ``[n, K]`` coefficients to ``[n, V]`` positions in [-1, 1] of those that vary."""
        columns = [one.position(values[:, k]) for k, one in enumerate(self.coefficients) if one.varies]
        return torch.stack(columns, dim=1) if columns else values.new_zeros(len(values), 0)

    def factors(self, values: Tensor) -> Tensor:
        """What the losses are multiplied by: the coefficients ``[n, K]``, normalised."""
        if self.normalisation == "geometric":
            return values / values.log().mean(dim=1, keepdim=True).exp()
        if self.normalisation == "sum":
            return values / values.sum(dim=1, keepdim=True)
        return values

    def weigh(self, losses: Losses, values: Tensor) -> Losses:
        """Each loss ``[n]`` times its coefficient in ``values`` ``[n, K]``; losses of no coefficient stay.

        Raises:
            TrainingError: a loss has not one value for each row of coefficients.
        """
        factors = dict(zip([one.loss for one in self.coefficients], self.factors(values).unbind(dim=1), strict=True))
        return {name: _times(name, loss, factors[name]) if name in factors else loss for name, loss in losses.items()}

    def values(self, knobs: Mapping[str, float] | None = None) -> Tensor:
        """Coefficients by knobs, float64 ``[1, K]``; those not named have their defaults.

        Raises:
            InputError: there is no such knob, or the value is outside of its range.
        """
        given = check_knobs(knobs or {}, self.knobs(), "This model")
        chosen = [float(given.get(one.name, one.usual)) for one in self.coefficients]
        return torch.tensor([chosen], dtype=torch.float64)

    def knobs(self) -> tuple[Knob, ...]:
        """The knobs for people and manifests: names, ranges, defaults and scales."""
        return tuple(one.as_knob() for one in self.varying)

    def to_dict(self) -> dict[str, Any]:
        """The family as JSON-ready data."""
        data = {"coefficients": [asdict(one) for one in self.coefficients], "normalisation": self.normalisation}
        return data | ({"balance": self.balance} if self.balance else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LossFamily:
        """The family that :meth:`to_dict` described.

        Raises:
            InputError: an entry is missing, unknown, or of another type.
        """
        try:
            rest = {name: value for name, value in data.items() if name != "coefficients"}
            return cls(tuple(Coefficient(**one) for one in data["coefficients"]), **rest)
        except (KeyError, TypeError) as error:
            raise InputError(f"This does not describe a loss family: {error}.") from error


def _times(name: str, loss: Tensor, factor: Tensor) -> Tensor:
    if loss.shape != factor.shape:
        raise TrainingError(
            f"Loss {name!r} has shape {list(loss.shape)}, not {list(factor.shape)}: loss-conditional training weighs "
            "the losses of each sample by its own coefficients; do not average over the batch."
        )
    return loss * factor.to(loss)
