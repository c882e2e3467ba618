"""What is minimised, as data, with the published objective among the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dragoman.errors import InputError

__all__ = ["PRESETS", "SPACES", "STARTS", "TASKS", "Objective", "start_of"]

#: Where an embedding may start.
STARTS = ("mean", "top", "random", "own", "mixture")
#: Where samples may be told apart.
SPACES = ("features", "probabilities", "pixels")


@dataclass(frozen=True)
class Objective:
    """Weights of the terms, and how the search begins and goes on. A weight of 0 leaves a term out.

    Args:
        cross_entropy: of the critic on generated images.
        diversity: of the mean distance of pairs, which is *raised*.
        space: where pairs are told apart, one of :data:`SPACES`.
        real: of the energy distance to real images in the critic's features; needs real images.
        pixels: of the energy distance to real images in their pixels: what the critic has learned to overlook counts
            here, too.
        density: of the negative log-density per coordinate under a Gaussian of the trained embeddings.
        decay: of half the squared length of the embedding, which is what Adam's coupled weight decay amounts to.
        region: whether the region of z that a class is drawn from is learned beside its embedding.
        start: one of :data:`STARTS`.
        noise: standard deviation of what is added to a start from the mean or the class's own embedding, in units of
            the spread of the trained embeddings.
        screen: how many starts are drawn for each that is kept: those with the lowest objective, which costs a forward
            pass each.
        learning_rate: Adam's, at its peak.
        schedule: ``"cosine"`` or ``"constant"``.
        average: decay of the moving average of the embeddings; 0 keeps the last.

    Raises:
        InputError: a value is unknown or out of range.
    """

    cross_entropy: float = 1.0
    diversity: float = 0.0
    space: str = "features"
    real: float = 0.0
    pixels: float = 0.0
    density: float = 0.0
    decay: float = 0.0
    region: bool = False
    start: str = "mean"
    noise: float = 0.6
    screen: int = 1
    learning_rate: float = 0.05
    schedule: str = "cosine"
    average: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cross_entropy", "diversity", "real", "pixels", "density", "decay", "noise", "learning_rate"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise InputError(f"objective: {name} must be a number of at least 0, not {value!r}.")
        for name, known in (("start", STARTS), ("space", SPACES), ("schedule", ("cosine", "constant"))):
            if getattr(self, name) not in known:
                raise InputError(f"objective: {name} must be {' or '.join(known)}, not {getattr(self, name)!r}.")
        if type(self.screen) is not int or self.screen < 1:
            raise InputError(f"objective: screen must be a whole number of at least 1, not {self.screen!r}.")

    @property
    def looks(self) -> bool:
        """Whether it compares with real images."""
        return self.real > 0 or self.pixels > 0

    @classmethod
    def preset(cls, name: str, changes: Mapping[str, Any] | None = None) -> Objective:
        """A preset, with some values changed.

        Raises:
            InputError: there is no such preset or value.
        """
        if name not in PRESETS:
            raise InputError(f"There is no preset {name!r}; the presets are {', '.join(PRESETS)}.")
        known = [field.name for field in fields(cls)]
        unknown = [key for key in changes or {} if key not in known]
        if unknown:
            raise InputError(f"objective: there is no value {unknown[0]!r}; known are {', '.join(known)}.")
        return cls(**{**asdict(PRESETS[name]), **(changes or {})})


#: ``published`` is Li et al.'s: Adam with rate 0.1 and weight decay 0.9, diversity of probabilities. ``realistic``
#: and ``recognised`` need real images, ``prior`` none.
PRESETS: dict[str, Objective] = {
    "published": Objective(diversity=0.1, space="probabilities", decay=0.9, learning_rate=0.1, schedule="constant"),
    "prior": Objective(diversity=0.1, density=0.3, screen=8),
    "realistic": Objective(cross_entropy=0.1, real=10.0, pixels=10.0, start="mixture", screen=16, average=0.95),
    "recognised": Objective(
        cross_entropy=5.0, real=10.0, pixels=10.0, region=True, start="mixture", screen=96, average=0.95
    ),
}

#: Where each task starts, as in the publication.
TASKS: dict[str, str] = {"repair": "mean", "repurpose": "top", "diversify": "own"}


def start_of(task: str, preset: str) -> str:
    """Where a task starts: with real images to screen by, at mixtures of trained embeddings, unless it has its own."""
    return "mixture" if PRESETS[preset].looks and task != "diversify" else TASKS[task]
