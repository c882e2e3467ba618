"""Conformance of critics: named per-sample losses, differentiable in what is judged, by frozen weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import pytest
import torch
from torch import Tensor

from dragoman.cards import CriticCard
from dragoman.catalogue import Offer
from dragoman.critic import Critic
from dragoman.expert import Expert
from dragoman.representation import select
from dragoman.testing.comparing import (
    TOLERANCE,
    check_losses,
    equal_states,
    global_generator_untouched,
    require,
    require_equal,
)
from dragoman.testing.samples import images, texts, with_gradient
from dragoman.testing.suite import check_card, find_offer, fixture_value, resolve, suite

__all__ = ["critic_tests"]


class Subject:
    """A critic under test, and what it judges."""

    def __init__(self, offer: Offer[CriticCard], made: Any, outputs: Tensor | None, condition: Any) -> None:
        self.offer, self.card, self._made = offer, offer.card, made
        self.outputs = images() if outputs is None else outputs
        self.condition = texts() if condition is None else condition

    @cached_property
    def critic(self) -> Critic:
        if isinstance(self._made, Critic):
            return self._made.requires_grad_(False).eval()
        kind = self.card.load()
        if not issubclass(kind, Expert):
            plain: Critic = kind()
            return plain.requires_grad_(False).eval()
        loaded: Any = kind.from_pretrained(self._made or self.card.repo)
        assert isinstance(loaded, Critic)
        return loaded

    def losses(self, rows: list[int] | None = None) -> dict[str, Tensor]:
        chosen = list(range(len(self.outputs))) if rows is None else rows
        found = self.critic.losses(self.outputs[chosen], select(self.condition, chosen))
        return check_losses(found, len(chosen), f"losses() of {self.card.name}")


def critic_tests(
    name: str,
    critic: Any = "",
    *,
    outputs: Any = None,
    condition: Any = None,
    skip: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """The conformance tests of a critic; assign the result to a name that begins with ``test``.

    Args:
        name: on its card.
        critic: one that is made already, an address or folder of its weights, a function that writes them into an
            empty folder, or the name of a fixture that gives one of these; the class without arguments, or the
            default weights on the card, when omitted.
        outputs: what is judged, two images at least, or the name of a fixture; ``[3, 3, 40, 48]`` when omitted.
        condition: what they should be, as many, or the name of a fixture; texts when omitted.
        skip: names of checks that do not apply to this critic, and why.
    """

    def make(request: pytest.FixtureRequest) -> Subject:
        judged, wanted = fixture_value(outputs, request), fixture_value(condition, request)
        return Subject(find_offer("critic", name), resolve(critic, request), judged, wanted)

    return suite(CHECKS, make, skip or {})


def check_the_card(subject: Subject) -> None:
    check_card(subject.offer, Critic)
    require(subject.card.losses, f"the card of {subject.card.name} names no losses")


def check_the_losses(subject: Subject) -> None:
    found, said = subject.losses(), subject.card.losses
    missing = sorted(set(said) - set(found))
    require(not missing, f"the card promises the loss {missing[:1]}; there are {', '.join(found)}")
    with torch.no_grad():
        score = subject.critic.score(subject.outputs, subject.condition)
    check_losses({"score": score}, len(subject.outputs), f"score() of {subject.card.name}")
    ceiling = subject.critic.ceiling
    above = float(score.max()) - ceiling
    require(above <= TOLERANCE, f"score() of {subject.card.name} is {above:g} above its ceiling of {ceiling:g}")


def check_determinism(subject: Subject) -> None:
    assert subject.critic  # loaded before the block: building layers draws weights that loading replaces
    with global_generator_untouched(subject.card.name):
        first, second = subject.losses(), subject.losses()
    for name, value in first.items():
        require_equal(second[name], value, f"the loss {name!r}, twice the same")


def check_batch(subject: Subject) -> None:
    for name, value in subject.losses().items():
        for row in range(len(value)):
            alone = subject.losses([row])[name]
            require_equal(alone, value[[row]], f"the loss {name!r}, alone and in a batch", tolerance=TOLERANCE)


def check_frozen(subject: Subject) -> None:
    before = {name: value.clone() for name, value in subject.critic.state_dict().items()}
    subject.losses()
    changed = equal_states(before, subject.critic.state_dict())
    require(not changed, f"judging changes {changed}")


def check_gradient(subject: Subject) -> None:
    outputs = with_gradient(subject.outputs)
    losses = subject.critic.losses(outputs, subject.condition)
    for name, value in losses.items():
        require(value.requires_grad, f"the loss {name!r} has no gradient to the outputs")
        (gradient,) = torch.autograd.grad(value.sum(), outputs, retain_graph=True)
        require(gradient.isfinite().all(), f"the gradient of the loss {name!r} is not finite")
        require(gradient.abs().sum() > 0, f"the gradient of the loss {name!r} is zero")


#: The checks of critics by name.
CHECKS: dict[str, Callable[[Subject], None]] = {
    "card": check_the_card,
    "losses": check_the_losses,
    "determinism": check_determinism,
    "batch": check_batch,
    "frozen": check_frozen,
    "gradient": check_gradient,
}
