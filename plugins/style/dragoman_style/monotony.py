"""Does each loss fall as its own coefficient rises?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dragoman_style.expert import StyleTransfer
from dragoman_style.training import StyleTraining

__all__ = ["losses_over"]


@torch.no_grad()
def losses_over(
    model: StyleTransfer, judge: StyleTraining, photographs: Tensor, values: Sequence[float]
) -> dict[str, list[float]]:
    """For each coefficient, its own loss while it takes the values and the others stay at their defaults.

    Args:
        model: the model.
        judge: the method, with the expert and the Gram matrices that the model was trained with.
        photographs: float ``[B, 3, H, W]`` in [0, 1].
        values: of the coefficients.

    Returns:
        For each loss its mean over photographs and styles, one for each value.
    """
    found: dict[str, list[float]] = {}
    for coefficient in model.conditioned.family.varying:
        settings = [{coefficient.name: value} for value in values]
        found[coefficient.loss] = [_mean(model, judge, photographs, each, coefficient.loss) for each in settings]
    return found


def _mean(
    model: StyleTransfer, judge: StyleTraining, photographs: Tensor, setting: dict[str, float], loss: str
) -> float:
    total = 0.0
    for number, name in enumerate(model.config["names"]):
        made = model.decode(photographs, "photo", style=name, **setting)
        style = torch.full((len(photographs),), number)
        total += float(judge.judge(made, photographs, style)[loss].mean())
    return total / len(model.config["names"])
