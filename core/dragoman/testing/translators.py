"""Conformance of translators: losses, sampling, inversion, learning, and being built again from their configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from dragoman.cards import TranslatorCard
from dragoman.catalogue import Offer
from dragoman.ports import Port
from dragoman.representation import select
from dragoman.testing.comparing import TOLERANCE, check_losses, global_generator_untouched, require, require_equal
from dragoman.testing.samples import sample_of
from dragoman.testing.suite import check_card, find_offer, suite
from dragoman.translator import Translator

__all__ = ["translator_tests"]

#: Ports between which translators are built, by modality.
PORTS = {
    "text": Port("text", "text"),
    "vector": Port("vector", "vector", (6,)),
    "tokens": Port("tokens", "tokens", (4, 6)),
    "map": Port("map", "map", (6, 4, 4)),
    "image": Port("image", "image", (3, 8, 8)),
    "label": Port("label", "label", (), dtype="int64"),
}
ROWS, STEPS = 48, 12


class Case:
    """A translator between two ports, and pairs on which it was trained a little, if it learns at all."""

    def __init__(self, build: Callable[[Port, Port], Translator], source: Port, target: Port, learns: bool) -> None:
        self.target, self.source = target, source
        samples = sample_of(target, ROWS)
        assert isinstance(samples, Tensor)
        self.samples, self.condition = samples, sample_of(source, ROWS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.translator = build(source, target)
        self.translator.initialize(self.samples, self.condition)
        self.course = [self._step(optimizer) for optimizer in [self._optimizer()] for _ in range(STEPS * learns)]
        self.translator.eval()

    def __str__(self) -> str:
        return f"from {self.source} to {self.target}"

    def _optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.translator.train().parameters(), lr=3e-3)

    def _step(self, optimizer: torch.optim.Optimizer) -> float:
        optimizer.zero_grad()
        losses = self.translator.losses(self.samples, self.condition, generator=torch.Generator().manual_seed(0))
        total = torch.stack([value.mean() for value in losses.values()]).sum()
        total.backward()
        optimizer.step()
        return float(total.detach())

    def losses(self, rows: list[int], seed: int = 4) -> dict[str, Tensor]:
        with torch.no_grad():
            found = self.translator.losses(
                self.samples[rows], select(self.condition, rows), generator=torch.Generator().manual_seed(seed)
            )
        return check_losses(found, len(rows), f"losses() {self}")

    def sample(self, rows: list[int], seed: int = 0, translator: Translator | None = None) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return (translator or self.translator).sample(select(self.condition, rows), generator=generator)


class Subject:
    """A translator under test, once for each form of condition."""

    def __init__(
        self,
        offer: Offer[TranslatorCard],
        source: Port | None,
        target: Port | None,
        build: Callable[[Port, Port], Translator],
        learns: bool,
        contrastive: Collection[str] = (),
    ) -> None:
        self.offer, self.card = offer, offer.card
        self.sources = [source] if source else [PORTS[modality] for modality in self.card.takes]
        self.target = target or PORTS[self.card.gives[0]]
        self.build, self.learns, self.contrastive = build, learns, contrastive
        self._cases: list[Case] = []

    @property
    def cases(self) -> Iterator[Case]:
        """The cases, built when a check first needs them."""
        for number, source in enumerate(self.sources):
            if number == len(self._cases):
                self._cases.append(Case(self.build, source, self.target, self.learns))
            yield self._cases[number]


def translator_tests(
    name: str,
    *,
    source: Port | None = None,
    target: Port | None = None,
    options: Mapping[str, Any] | None = None,
    build: Callable[[Port, Port], Translator] | None = None,
    contrastive: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """The conformance tests of a translator; assign the result to a name that begins with ``test``.

    Args:
        name: on its card.
        source: where the condition comes from; one small port for each modality that the card takes when omitted.
        target: where samples go; a small port of the first modality that the card gives when omitted.
        options: of :meth:`~dragoman.Translator.build`, such as sizes that train in seconds.
        build: makes the translator instead, where ``build`` of its class cannot.
        contrastive: names of losses that compare a sample with the others of its batch, and so depend on them.
        skip: names of checks that do not apply to this translator, and why.
    """

    def make(_: pytest.FixtureRequest) -> Subject:
        offer, learns = find_offer("translator", name), "learning" not in (skip or {})
        chosen = build or partial(offer.card.load().build, **(options or {}))
        return Subject(offer, source, target, chosen, learns, contrastive)

    return suite(CHECKS, make, skip or {})


def check_the_card(subject: Subject) -> None:
    check_card(subject.offer, Translator)


def check_the_losses(subject: Subject) -> None:
    for case in subject.cases:
        with global_generator_untouched(f"losses() {case}"):
            together, again = case.losses([0, 1, 2]), case.losses([0, 1, 2], seed=5)
        others = case.losses([0, 3, 4])
        for loss, value in together.items():
            if loss in subject.contrastive:
                continue
            what = f"the loss {loss!r} {case} of one sample"
            require_equal(others[loss][:1], value[:1], f"{what}, beside others", tolerance=10 * TOLERANCE)
            # Losses that draw noise meet other noise in batches of another size.
            if torch.equal(value, again[loss]):
                require_equal(case.losses([0])[loss], value[:1], f"{what}, alone", tolerance=10 * TOLERANCE)
        if declined := case.translator.declined_losses(case.samples, case.samples.flip(0)):
            check_losses(declined, len(case.samples), f"declined_losses() {case}")


def check_learning(subject: Subject) -> None:
    for case in subject.cases:
        first, last = case.course[0], case.course[-1]
        require(last < first, f"{case}, {STEPS} steps of Adam do not lower the losses: {first:.4g} to {last:.4g}")


def check_sampling(subject: Subject) -> None:
    for case in subject.cases:
        with global_generator_untouched(f"sample() {case}"):
            found = case.sample([0, 1, 2])
        shape = tuple(found.shape)
        wanted = tuple(case.samples[:3].shape)
        require(shape == wanted, f"{case}, samples have the shape {list(shape)}, not {list(wanted)}")
        require(found.isfinite().all(), f"{case}, samples are not finite")
        require_equal(case.sample([0, 1, 2]), found, f"samples {case} with one seed")
        what = f"samples {case} in batches of 1 and 3"
        require_equal(case.sample([0]), found[:1], what, tolerance=TOLERANCE)
        require(not torch.equal(case.sample([0, 1, 2], seed=1), found), f"{case}, every seed gives the same samples")


def check_inversion(subject: Subject) -> None:
    if not _invertible(subject.card.load()):
        pytest.skip("it has no residual() and restore()")
    for case in subject.cases:
        translator: Any = case.translator
        with torch.no_grad():
            residual = translator.residual(case.samples, case.condition)
            restored = translator.restore(residual, case.condition)
        require_equal(restored, case.samples, f"{case}, restore() of residual()", tolerance=10 * TOLERANCE)
        require(not torch.equal(residual, case.samples), f"{case}, residual() gives back what it got")


def check_files(subject: Subject) -> None:
    for case in subject.cases:
        config = case.translator.config
        require(json.loads(json.dumps(config)) == config, f"{case}, config is not the same after JSON")
        again = type(case.translator)(**config).eval()
        again.load_state_dict({key: value.clone() for key, value in case.translator.state_dict().items()})
        what = f"{case}, samples of a translator built from config and state_dict"
        require_equal(case.sample([0, 1], translator=again), case.sample([0, 1]), what)


def _invertible(kind: type) -> bool:
    return callable(getattr(kind, "residual", None)) and callable(getattr(kind, "restore", None))


#: The checks of translators by name.
CHECKS: dict[str, Callable[[Subject], None]] = {
    "card": check_the_card,
    "losses": check_the_losses,
    "learning": check_learning,
    "sampling": check_sampling,
    "inversion": check_inversion,
    "files": check_files,
}
