"""The check of a method's phases, before a run begins."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.errors import TrainingError
from dragoman.training.method import Method, Phase

__all__ = ["checked_phases"]


def checked_phases(method: Method) -> list[Phase]:
    """The phases of a method.

    Raises:
        TrainingError: there is none, two have one name, one shares the optimiser of a phase that does not exist or
            moves something else, or one moves what no checkpoint would hold.
    """
    who, phases = type(method).__name__, list(method.phases())
    if not phases:
        raise TrainingError(f"{who} has no phase, so there is nothing to train.")
    held = {id(parameter) for parameter in method.trained().parameters()}
    for index, phase in enumerate(phases):
        _check_name(phase, phases[:index], who)
        if not held.issuperset(map(id, phase.parameters)):
            raise TrainingError(f"{who}: phase {phase.name!r} moves parameters that trained() does not hold.")
    return phases


def _check_name(phase: Phase, earlier: Sequence[Phase], who: str) -> None:
    own = {other.name: other for other in earlier if not other.shares}
    if phase.name in {other.name for other in earlier}:
        raise TrainingError(f"{who} has two phases of the name {phase.name!r}.")
    if not phase.shares:
        return
    if phase.shares not in own:
        raise TrainingError(f"{who}: phase {phase.name!r} shares the optimiser of {phase.shares!r}, which has none.")
    if {*map(id, phase.parameters)} != {*map(id, own[phase.shares].parameters)}:
        raise TrainingError(f"{who}: phases {phase.name!r} and {phase.shares!r} share an optimiser, not parameters.")
