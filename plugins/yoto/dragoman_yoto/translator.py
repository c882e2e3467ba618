"""Loss-conditional training of a translator, so that a fusion has the knobs of its translator's losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from dragoman.cards import TranslatorCard
from dragoman.catalogue import Offer
from dragoman.errors import InputError, TrainingError
from dragoman.expert import Atoms
from dragoman.knobs import Knob
from dragoman.plugins import zoo
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman.translator import Translator
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily

__all__ = ["LossConditionalTranslator"]


class LossConditionalTranslator(Translator):
    """Another translator, trained for a whole family of its losses (Dosovitskiy, Djolonga 2020).

    It is to ``dragoman fuse`` what :class:`dragoman_yoto.method.LossConditional` is to methods: any translator whose
    losses are named and per sample, called on the whole batch, gains a knob for each coefficient, which the package's
    manifest lists and ``dragoman sample --knob`` sets::

        [translator]
        name = "loss-conditional"
        inner = {name = "my-translator", width = 128}
        coefficients = [{loss = "sharpness", low = 0.1, high = 10.0}]

    Args:
        inner: ``name`` on the inner translator's card, and the ``config`` that builds it.
        family: as :meth:`LossFamily.to_dict` describes it.
        film: ``sites`` and the options of the modulations.

    Raises:
        InputError: the family cannot be, or no layer matches the sites.
    """

    def __init__(self, inner: Mapping[str, Any], family: Mapping[str, Any], film: Mapping[str, Any]) -> None:
        super().__init__({"inner": dict(inner), "family": dict(family), "film": dict(film)})
        kind: type[Translator] = zoo().translators.find(inner["name"]).card.load()
        self.conditioned = Conditioned(kind(**inner["config"]), LossFamily.from_dict(family), **film)

    @classmethod
    def build(
        cls,
        source: Port,
        target: Port,
        *,
        inner: Mapping[str, Any] | None = None,
        coefficients: Sequence[Mapping[str, Any]] = (),
        normalisation: str = "geometric",
        sites: Sequence[str] = ("*",),
        **film: Any,
    ) -> Self:
        """A fresh one.

        Args:
            source: where conditions come from.
            target: where samples go.
            inner: ``name`` on the card of the translator that is wrapped, and its options.
            coefficients: arguments of :class:`~dragoman_yoto.coefficient.Coefficient`, one for each knob.
            normalisation: of :class:`~dragoman_yoto.family.LossFamily`.
            sites: layers that are modulated, see :func:`~dragoman_yoto.conditioned.site_names`.
            **film: ``hidden``, ``strength`` and ``norm`` of the modulations.

        Raises:
            InputError: there is no inner translator, or an option cannot be.
        """
        options = dict(inner or {})
        name = options.pop("name", "")
        if not name:
            raise InputError('Loss-conditional training wraps another translator; say which: inner = {name = "..."}.')
        kind: type[Translator] = zoo().translators.find(name).card.load()
        try:
            family = LossFamily(tuple(Coefficient(**one) for one in coefficients), normalisation=normalisation)
        except TypeError as error:
            raise InputError(f"This does not describe the coefficients of losses: {error}.") from error
        config = kind.build(source, target, **options).config
        return cls({"name": name, "config": config}, family.to_dict(), {"sites": list(sites), **film})

    @property
    def inner(self) -> Translator:
        """What is wrapped."""
        assert isinstance(self.conditioned.network, Translator)
        return self.conditioned.network

    @property
    def offers(self) -> Sequence[Offer[TranslatorCard]]:
        """That of what is wrapped, and of what this is made of in turn."""
        return [zoo().translators.find(self.config["inner"]["name"]), *self.inner.offers]

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """The inner translator's statistics."""
        self.inner.initialize(target, condition, atoms)

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The inner translator's losses: in training each sample's times its own coefficients, else as by default.

        Raises:
            TrainingError: a coefficient belongs to a loss that there is not.
        """
        family = self.conditioned.family
        drawn = self.training and generator is not None
        values = family.draw(len(target), generator) if drawn and generator else family.values().expand(len(target), -1)
        with self.conditioned.using(values):
            losses = self.inner.losses(target, condition, generator=generator)
        for coefficient in family.coefficients:
            if coefficient.loss not in losses:
                known = ", ".join(losses)
                raise TrainingError(f"The translator reports no loss {coefficient.loss!r}; its losses are {known}.")
        return family.weigh(losses, values)

    def signals(self, target: Tensor, condition: Representation) -> dict[str, float]:
        """The inner translator's, at the knobs' defaults."""
        return self.inner.signals(target, condition)

    def sketch(self, target: Tensor, condition: Representation) -> Tensor | None:
        """The inner translator's, at the knobs' defaults."""
        return self.inner.sketch(target, condition)

    def knobs(self) -> tuple[Knob, ...]:
        """The inner translator's, and the coefficients."""
        return (*self.inner.knobs(), *self.conditioned.family.knobs())

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One draw for each condition, at the coefficients that the knobs say."""
        names = {one.name for one in self.conditioned.family.varying}
        ours = {name: value for name, value in knobs.items() if name in names}
        rest = {name: value for name, value in knobs.items() if name not in names}
        with self.conditioned.using(self.conditioned.family.values(ours)):
            return self.inner.sample(condition, generator=generator, temperature=temperature, **rest)
