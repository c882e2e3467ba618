"""Conformance of methods: phases, named per-sample losses, repeatability, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import pytest
import torch
from torch import Tensor

from dragoman.cards import MethodCard
from dragoman.catalogue import Offer
from dragoman.representation import length
from dragoman.testing.comparing import check_losses, global_generator_untouched, require, require_equal
from dragoman.testing.suite import check_card, find_offer, fixture_value, suite
from dragoman.training.method import Batch, Method, Phase
from dragoman.training.phases import checked_phases

__all__ = ["method_tests"]


class Subject:
    """A method under test, and a batch for it."""

    def __init__(self, offer: Offer[MethodCard], method: Any, batch: Any) -> None:
        self.offer, self.card = offer, offer.card
        self._method, self._batch = method, batch

    @cached_property
    def method(self) -> Method:
        made: Method = self._method if isinstance(self._method, Method) else self._method()
        return made.train()

    @cached_property
    def batch(self) -> Batch:
        batch: Batch = self._batch() if callable(self._batch) else self._batch
        return batch

    @property
    def phases(self) -> list[Phase]:
        return checked_phases(self.method)

    def losses(self, phase: Phase) -> dict[str, Tensor]:
        """Losses of a phase, with gradients to its parameters alone, as in the trainer."""
        self.method.requires_grad_(False)
        for parameter in phase.parameters:
            parameter.requires_grad_(True)
        found = self.method(phase.name, self.batch, torch.Generator().manual_seed(0))
        return check_losses(found, length(next(iter(self.batch.values()))), f"phase {phase.name!r}")


def method_tests(name: str, method: Any, batch: Any, *, skip: Mapping[str, str] | None = None) -> Callable[..., None]:
    """The conformance tests of a method; assign the result to a name that begins with ``test``.

    Args:
        name: on its card.
        method: a small one, a function that makes it, or the name of a fixture that gives one of these.
        batch: what it learns from, by column, a function that makes it, or the name of a fixture.
        skip: names of checks that do not apply to this method, and why.
    """

    def make(request: pytest.FixtureRequest) -> Subject:
        return Subject(find_offer("method", name), fixture_value(method, request), fixture_value(batch, request))

    return suite(CHECKS, make, skip or {})


def check_the_card(subject: Subject) -> None:
    check_card(subject.offer, Method)


def check_the_phases(subject: Subject) -> None:
    for phase in subject.phases:
        require(list(phase.parameters), f"phase {phase.name!r} moves nothing")
    held = {id(value) for value in subject.method.trained().state_dict(keep_vars=True).values()}
    averaged = subject.method.averaged().state_dict(keep_vars=True)
    outside = sorted(name for name, value in averaged.items() if id(value) not in held)
    require(not outside, f"averaged() has {outside[:1]}, which trained() does not hold")


def check_the_losses(subject: Subject) -> None:
    require(subject.card.losses, f"the card of {subject.card.name} names no losses")
    seen = {name for phase in subject.phases for name in subject.losses(phase)}
    missing = sorted(set(subject.card.losses) - seen)
    require(not missing, f"the card promises the loss {missing[:1]}; the phases report {', '.join(sorted(seen))}")


def check_determinism(subject: Subject) -> None:
    for phase in subject.phases:
        state = {name: value.clone() for name, value in subject.method.state_dict().items()}
        with global_generator_untouched(f"phase {phase.name!r}"):
            first = subject.losses(phase)
            subject.method.load_state_dict(state)
            second = subject.losses(phase)
        for name, value in first.items():
            require_equal(second[name].detach(), value.detach(), f"the loss {name!r} with one seed")


def check_gradient(subject: Subject) -> None:
    for phase in subject.phases:
        losses = subject.losses(phase)
        total = torch.stack([phase.weights.get(name, 1.0) * value.mean() for name, value in losses.items()]).sum()
        require(total.requires_grad, f"the losses of phase {phase.name!r} have no gradient")
        gradients = torch.autograd.grad(total, list(phase.parameters), allow_unused=True)
        found = [gradient for gradient in gradients if gradient is not None]
        require(all(gradient.isfinite().all() for gradient in found), f"phase {phase.name!r}: a gradient is not finite")
        require(any(gradient.abs().sum() > 0 for gradient in found), f"phase {phase.name!r} moves nothing")


#: The checks of methods by name.
CHECKS: dict[str, Callable[[Subject], None]] = {
    "card": check_the_card,
    "phases": check_the_phases,
    "losses": check_the_losses,
    "determinism": check_determinism,
    "gradient": check_gradient,
}
