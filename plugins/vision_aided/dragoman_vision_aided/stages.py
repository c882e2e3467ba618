"""The plan of a training: which critics take part in which stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dragoman_vision_aided.bank import Member
from dragoman_vision_aided.critic import VisionAided
from dragoman_vision_aided.ranking import Ranked
from dragoman_vision_aided.recipe import CriticsTable

__all__ = ["Chosen", "added_at", "build_critic", "choose"]

#: Probes that are right more often than this get smoothed labels, as published.
_TOO_EASY, _SMOOTHED = 0.9, 0.8


@dataclass(frozen=True)
class Chosen:
    """A critic that takes part.

    Attributes:
        name: of the bank's member.
        loss: of its head.
        real_target: what real images count as.
        since: images of training at which it was added.
    """

    name: str
    loss: str
    real_target: float
    since: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return asdict(self)


def added_at(table: CriticsTable, stage: int) -> int:
    """How many critics are added when stage ``stage`` begins, counted from 0."""
    if table.strategy == "all":
        return len(table.bank) if stage == 0 else 0
    if table.strategy == "none" or stage == 0:
        return 0
    return table.count if table.strategy == "fixed" else 1


def choose(
    table: CriticsTable, bank: Sequence[Member], ranking: Sequence[Ranked], add: int, images: int
) -> list[Chosen]:
    """The first ``add`` of a ranking; where there is none, of the bank, in its order.

    Args:
        table: the recipe's.
        bank: all experts, in the order of the recipe.
        ranking: of those that are left.
        add: how many.
        images: images of training so far.
    """
    if not add:
        return []
    accuracy = {ranked.name: ranked.probe.mean for ranked in ranking}
    order = list(accuracy) or [member.name for member in bank]
    losses = dict(zip([member.name for member in bank], _losses(table), strict=True))
    return [
        Chosen(name, losses[name], _target(table, losses[name], accuracy.get(name, 0.0)), images)
        for name in order[:add]
    ]


def build_critic(
    table: CriticsTable, member: Member, chosen: Chosen, num_classes: int, seed: int, adapts_over: int
) -> VisionAided:
    """The critic of a member of the bank.

    Raises:
        InputError: the loss has no labels to smooth.
        PortError: a tap cannot be looked at.
    """
    return VisionAided(
        member.expert,
        member.name,
        member.taps,
        loss=chosen.loss,
        real_target=chosen.real_target,
        width=table.width,
        num_classes=num_classes,
        augmentation=table.augmentation,
        adapts_over=adapts_over,
        weight=table.weight,
        warmup=chosen.since + table.warmup,
        ramp=table.ramp,
        seed=seed,
    )


def _losses(table: CriticsTable) -> tuple[str, ...]:
    return (table.loss,) * len(table.bank) if isinstance(table.loss, str) else table.loss


def _target(table: CriticsTable, loss: str, accuracy: float) -> float:
    if table.real_target:
        return table.real_target
    return _SMOOTHED if loss == "sigmoid" and accuracy > _TOO_EASY else 1.0
