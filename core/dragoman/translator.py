"""Translators: small trained networks that carry one expert's representation into another expert's space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from dragoman.expert import Atoms
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman.representation import Representation

if TYPE_CHECKING:
    from dragoman.cards import TranslatorCard
    from dragoman.catalogue import Offer

__all__ = ["Translator"]


class Translator(nn.Module):
    """A conditional distribution over a target port, given the representation at a source port.

    Subclasses implement :meth:`build`, :meth:`losses` and :meth:`sample`. All that is needed to build one again
    is its ``config``, JSON-ready keyword arguments of :meth:`__init__`.

    Attributes:
        config: keyword arguments that build this translator.
    """

    config: dict[str, Any]

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """A fresh translator from ``source`` to ``target``, sized from the two ports.

        Raises:
            PortError: translators of this kind do not join these ports.
            InputError: an option is unknown or out of range.
        """
        raise NotImplementedError(f"{cls.__name__} does not build itself from ports")

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Set data-dependent state (statistics, first scales) from a large batch, before training.

        Args:
            target: samples at the target port, ``[B, ...]``.
            condition: representations at the source port for the same samples.
            atoms: the target port's discrete coordinates, if any.
        """

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Named losses, one value per sample: ``{"nll": [B]}``."""
        raise NotImplementedError(f"{type(self).__name__} cannot be trained")

    def declined_losses(self, target: Tensor, declined: Tensor) -> dict[str, Tensor]:
        """Named losses of telling targets that were captioned from draws that were declined; none by default.

        Args:
            target: samples at the target port, ``[B, ...]``.
            declined: as many draws that the captioner found no words for.
        """
        return {}

    def signals(self, target: Tensor, condition: Representation) -> dict[str, float]:
        """Figures that say whether training goes well, beyond what the losses do; they go into the log.

        Args:
            target: samples at the target port, ``[B, ...]``, the same at every call.
            condition: representations at the source port for the same samples.
        """
        return {}

    def sketch(self, target: Tensor, condition: Representation) -> Tensor | None:
        """Pictures of how training goes, ``[B * columns, C, H, W]`` in [0, 1], those of a sample side by side."""
        return None

    @property
    def offers(self) -> Sequence[Offer[TranslatorCard]]:
        """Those of the translators that this one is made of: a package requires the plugins that bring them."""
        return ()

    def knobs(self) -> tuple[Knob, ...]:
        """What :meth:`sample` lets one choose, beside the temperature."""
        return ()

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One draw for each condition, ``[B, ...]``; ``knobs`` are those of :meth:`knobs`.

        Noise is drawn row by row on the generator's device (:func:`dragoman.representation.randn_rows`), so that a
        seed gives the same samples on any batch size.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot sample")
