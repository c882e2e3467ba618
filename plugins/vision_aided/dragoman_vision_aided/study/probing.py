"""How well each expert of the bank tells a run's images from real ones, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dragoman_stylegan2.generator import Generator
from dragoman_vision_aided.bank import Member
from dragoman_vision_aided.evaluation import expert_of
from dragoman_vision_aided.ranking import draw_images, rank
from dragoman_vision_aided.snapshots import averaged_weights, load_best

__all__ = ["probe_stages"]


def probe_stages(
    folder: Path, stages: int, generator: Generator, bank: Sequence[Member], real: Tensor, seed: int
) -> list[list[dict[str, Any]]]:
    """For the best snapshot of each stage, the probe's accuracy with each expert, whether it is a critic or not.

    Args:
        folder: of the run.
        stages: how many it has.
        generator: of the run's configuration; it stays as it is.
        bank: the experts.
        real: images uint8 ``[N, C, H, W]``; as many are generated.
        seed: of samples and splits.
    """
    found = []
    for stage in range(stages):
        expert = expert_of(generator, averaged_weights(load_best(folder / f"stage-{stage}")))
        ranking = rank(bank, real, draw_images(expert, len(real), seed + 1), seed=seed)
        found.append([ranked.to_dict() for ranked in ranking])
    return found
