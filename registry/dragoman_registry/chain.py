"""Several translators one after the other, as one: what a route through the zoo becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from dragoman.cards import TranslatorCard
from dragoman.errors import InputError
from dragoman.plugins import Offer, zoo
from dragoman.ports import Port
from dragoman.representation import Representation, length, select
from dragoman.translator import Translator

__all__ = ["Chain"]


class Chain(Translator):
    """``t_n(... t_2(t_1(condition)))``, a sample of each given the sample of the one before it.

    Args:
        parts: for each translator, first to last, the ``name`` on its card, the ``plugin`` that offers it, and the
            ``config`` that builds it.

    Raises:
        InputError: there are no parts.
        UnknownNameError: no installed plugin offers one.
    """

    def __init__(self, parts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__({"parts": [dict(part) for part in parts]})
        if not parts:
            raise InputError("A chain needs at least one translator.")
        built = [offer.card.load()(**part["config"]) for offer, part in zip(_offers(parts), parts, strict=True)]
        self.parts = nn.ModuleList(built)

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """Refuse: a chain is made of trained translators."""
        raise InputError("A chain is not trained; `dragoman route` makes one of translators that are.")

    @property
    def offers(self) -> Sequence[Offer[TranslatorCard]]:
        """Those of the parts, and of what these are made of."""
        return [*_offers(self.config["parts"]), *(offer for part in self._translators() for offer in part.offers)]

    @classmethod
    def of(cls, translators: Sequence[Translator], names: Sequence[str]) -> Self:
        """Chain trained translators, whose weights are shared.

        Args:
            translators: first to last.
            names: by which the zoo knows each.
        """
        offers = [zoo().translators.find(name) for name in names]
        parts = [
            {"name": offer.card.name, "plugin": offer.plugin.distribution, "config": translator.config}
            for offer, translator in zip(offers, translators, strict=True)
        ]
        with torch.random.fork_rng(devices=[]):  # what is built here draws weights, and is replaced at once
            chain = cls(parts)
        chain.parts = nn.ModuleList(translators)
        return chain.eval()

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One draw for each condition, ``[B, ...]``.

        Row after row, since each part draws its noise for a whole batch at once: together, a seed would give other
        samples for other sizes of batches.
        """
        rows = [self._sample_row(select(condition, [row]), generator, temperature) for row in range(length(condition))]
        return torch.cat(rows)

    def _sample_row(self, row: Representation, generator: torch.Generator | None, temperature: float) -> Tensor:
        for part in self._translators():
            row = part.sample(row, generator=generator, temperature=temperature)
        assert isinstance(row, Tensor)
        return row

    def _translators(self) -> list[Translator]:
        return [part for part in self.parts if isinstance(part, Translator)]


def _offers(parts: Sequence[Mapping[str, Any]]) -> list[Offer[TranslatorCard]]:
    return [zoo().translators.find(f"{part['plugin']}/{part['name']}") for part in parts]
