"""One knob over several values: how close images come to real ones, and how well they fit their prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError
from dragoman.fuse import load_critic
from dragoman.knobs import Knob, read_knobs, split_sweep
from dragoman.representation import Representation, select
from dragoman_registry.evaluation import Comparison, Evaluation, check_metrics
from dragoman_registry.subject import Drawn, load_subject

__all__ = ["Alignment", "Point", "Sweep", "read_sweep", "sweep"]


@dataclass(frozen=True)
class Point:
    """What one value of the knob gave.

    Attributes:
        value: of the knob.
        alignment: mean score of the images by the critic, or ``None`` without one.
        evaluation: figures against real images.
    """

    value: Any
    alignment: float | None
    evaluation: Evaluation


@dataclass(frozen=True)
class Sweep:
    """A knob's curve.

    Attributes:
        model: what was evaluated.
        knob: name of the knob.
        critic: name of the critic that gives the alignment, or ``""``.
        points: in the order of the values.
    """

    model: str
    knob: str
    critic: str
    points: tuple[Point, ...]


class Alignment:
    """How well images fit their prompts, by a critic that reads them through an encoder.

    Args:
        name: the critic's name on its card.
        reads: what encodes the prompts for it, ``EXPERT[=ADDRESS][:PORT]``; ``""`` for a critic that takes texts.
        device: where both run.
    """

    def __init__(self, name: str, reads: str, device: str | torch.device | None = None) -> None:
        self.name = name
        self.critic: Critic = load_critic(name, device)
        self.source = Endpoint.load(EndpointSpec.parse(reads), giving=True, device=device) if reads else None

    @torch.no_grad()
    def of(self, drawn: Drawn, batch_size: int) -> float:
        """The mean score of images and their prompts.

        Raises:
            InputError: the images were made without prompts.
        """
        if not drawn.prompts:
            raise InputError(f"{self.name} compares images with prompts, but a generator has none; leave --critic out.")
        distinct = list(dict.fromkeys(drawn.prompts))
        condition: Representation = distinct
        if self.source is not None:
            condition = self.source.expert.encode(distinct, self.source.port.name)
        place = {prompt: row for row, prompt in enumerate(distinct)}
        rows = [place[prompt] for prompt in drawn.prompts]
        scores = [
            self.critic.score(drawn.images[start : start + batch_size], select(condition, rows[start:][:batch_size]))
            for start in range(0, len(rows), batch_size)
        ]
        return float(torch.cat(scores).mean())


def read_sweep(text: str, knobs: Sequence[Knob], owner: str) -> tuple[str, list[Any]]:
    """``"guidance_scale=1,2,4"`` to the knob's name and its values.

    Raises:
        InputError: it is not of that form, there is no such knob, or a value is out of its range.
    """
    name, texts = split_sweep(text)
    return name, [read_knobs({name: value}, knobs, owner)[name] for value in texts]


def sweep(
    model: str,
    real: Path,
    asked: str,
    *,
    features_of: str,
    metrics: Sequence[str],
    alignment: Alignment | None = None,
    samples: int | None = None,
    prompts: Sequence[str] = (),
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    knobs: Mapping[str, str] | None = None,
) -> Sweep:
    """Evaluate a model at several values of one knob, with the same noise at each.

    Args:
        model: as for :func:`~dragoman_registry.evaluation.evaluate`, like the arguments not listed here.
        real: folder of real images.
        asked: the knob and its values, ``NAME=VALUE,VALUE,...``.
        features_of: the expert that compares.
        metrics: what is measured beside the alignment.
        alignment: measures how well images fit their prompts.
        samples: images of either kind.
        prompts: of a fusion.
        seed: of the samples.
        batch_size: images that are made at once.
        device: where it runs.
        knobs: other knobs, as they are written on a command line.

    Raises:
        InputError: as there, and as of :func:`read_sweep`.
    """
    check_metrics(metrics)
    subject = load_subject(model, prompts, device)
    name, values = read_sweep(asked, subject.knobs(), model)
    fixed = read_knobs(knobs or {}, subject.knobs(), model)
    if name in fixed:
        raise InputError(f"{name} is swept, so it cannot be fixed as well; leave out --knob {name}.")
    comparison = Comparison(subject, real, features_of=features_of, samples=samples, seed=seed, device=device)

    def point(value: Any) -> Point:
        drawn = subject.draw(comparison.count, seed, batch_size, {**fixed, name: value})
        fits = alignment.of(drawn, batch_size) if alignment else None
        return Point(value, fits, comparison.of(drawn.images, metrics))

    return Sweep(model, name, alignment.name if alignment else "", tuple(point(value) for value in values))
