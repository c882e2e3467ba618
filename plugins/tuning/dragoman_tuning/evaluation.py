"""What an embedding makes, by a judge that took no part in tuning, beside the classifier that did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.metrics import diversity, frechet_distance
from dragoman.training.seeding import generator_for
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.points import decode_points

__all__ = ["Figures", "check_judge", "evaluate", "sample_embedding"]

#: Diversity is a mean over pairs; more samples than these cost memory and change nothing.
_PAIRED = 1000


@dataclass(frozen=True)
class Figures:
    """What was measured on samples of one class.

    Attributes:
        guide_accuracy: share that the classifier of the objective takes for the class.
        judge_accuracy: share that the judge does; far below the other, the embedding fools the first.
        diversity: mean distance of two samples in the judge's features.
        real_diversity: the same of real images, or ``None`` without any.
        frechet: Fréchet distance to real images in the judge's features, or ``None`` without any.
    """

    guide_accuracy: float
    judge_accuracy: float
    diversity: float
    real_diversity: float | None = None
    frechet: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; without what was not measured."""
        return {name: round(value, 4) for name, value in asdict(self).items() if value is not None}


def check_judge(critic: Classifier, judge: Classifier) -> None:
    """Raise if the judge is a classifier that was optimised against.

    Raises:
        InputError: it is: an embedding that fools it would not be noticed.
    """
    other = judge.expert.state_dict()
    for member in critic.members:
        one = member.expert.state_dict()
        same = one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
        if member.name == judge.name or same:
            raise InputError(f"{judge.name!r} cannot judge what was tuned against it; name another classifier.")


@torch.no_grad()
def sample_embedding(target: Expert, embedding: Tensor, count: int, seed: int = 0, batch_size: int = 250) -> Tensor:
    """Samples of an embedding or a point, ``[count, C, H, W]`` in [0, 1] on the CPU; a seed means the same latents."""
    z = target.draw("z", count, generator=generator_for(seed, "evaluation"))
    (size,) = target.port("class_embedding").shape
    point = embedding.to(z)[None]
    return torch.cat([decode_points(target, point, part, int(size)).cpu() for part in z.split(batch_size)])


def evaluate(images: Tensor, name: str, critic: Classifier, judge: Classifier, real: Tensor | None = None) -> Figures:
    """Measure samples of one class.

    Args:
        images: samples ``[N, C, H, W]``, ``N >= 2``.
        name: the class, by which both classifiers know it.
        critic: the classifier of the objective.
        judge: another one.
        real: real images of the class.

    Raises:
        InputError: a classifier does not know the class.
    """
    seen = judge.look(images)
    guided = critic.look(images).logits.argmax(dim=1) == critic.label(name)
    judged = seen.logits.argmax(dim=1) == judge.label(name)
    features = None if real is None else judge.look(real).features
    return Figures(
        guide_accuracy=float(guided.float().mean()),
        judge_accuracy=float(judged.float().mean()),
        diversity=_spread(seen.features),
        real_diversity=None if features is None else _spread(features),
        frechet=None if features is None else frechet_distance(features, seen.features),
    )


def _spread(features: Tensor) -> float:
    return float(diversity(features[None, :_PAIRED]))
