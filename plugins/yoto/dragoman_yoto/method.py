"""Loss-conditional training: any method with named per-sample losses, over all its loss coefficients at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import TrainingError
from dragoman.representation import length
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily

__all__ = ["LossConditional"]


class LossConditional(Method):
    """Train one network for a whole family of losses (Dosovitskiy, Djolonga 2020).

    Each sample of a batch gets coefficients of its own. They modulate the network while it sees the sample, and weigh
    the sample's losses. With unlimited capacity the minimum over the expected loss is the minimum for every choice of
    coefficients (proposition 1 of the paper).

    The wrapped method does not know of it: its phases, rates and data stay as they are, and the modulations behind the
    layers that a phase moves move with them. Once trained, :attr:`conditioned` is the network with its knobs.

    Args:
        method: reports named losses, one value per sample, of networks that are called on the whole batch.
        family: the coefficients. If none of them varies, this trains exactly what the method with these weights does.
        sites: patterns of the modulated layers, see :func:`dragoman_yoto.conditioned.site_names`; all by default.
        **options: of the modulations: ``hidden``, ``strength``, ``norm``.

    Attributes:
        conditioned: the trained network with its modulations.

    Raises:
        InputError: no layer matches the sites.
    """

    def __init__(self, method: Method, family: LossFamily, *, sites: Sequence[str] = ("*",), **options: Any) -> None:
        super().__init__()
        self.method, self.family = method, family
        self.conditioned = Conditioned(method.trained(), family, sites=sites, **options)
        self._plain: dict[str, Tensor] = {}

    def phases(self) -> Sequence[Phase]:
        """The method's phases; each also moves the modulations of the layers that it moves.

        Raises:
            TrainingError: a layer that no phase moves is modulated.
        """
        phases = [replace(phase, parameters=self._with_film(phase)) for phase in self.method.phases()]
        moved = {id(parameter) for phase in phases for parameter in phase.parameters}
        for name, parameter in self.conditioned.film.named_parameters():
            if id(parameter) not in moved:
                raise TrainingError(f"The modulation {name} would never move, as no phase moves its layer; exclude it.")
        return phases

    def trained(self) -> nn.Module:
        """The network and its modulations."""
        return self.conditioned

    def averaged(self) -> nn.Module:
        """What the method averages, and the modulations."""
        if self.method.averaged() is self.method.trained():
            return self.conditioned
        return nn.ModuleDict({"network": self.method.averaged(), "film": self.conditioned.film})

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """The method's losses, each sample's times its own coefficients.

        Raises:
            TrainingError: a loss is not per sample.
        """
        values = self.family.draw(length(next(iter(batch.values()))), generator)
        with self.conditioned.using(values):
            losses: Losses = self.method(phase, batch, generator)
        self._plain.update({name: loss.detach() for name, loss in losses.items()})
        return self.family.weigh(self.conditioned.balanced(losses), values)

    def metrics(self) -> dict[str, Any]:
        """The method's own, and ``plain.NAME``: the mean of each loss before it is weighted.

        Raises:
            TrainingError: a coefficient belongs to a loss that the method does not report.
        """
        missing = [one.loss for one in self.family.coefficients if self._plain and one.loss not in self._plain]
        if missing:
            known = ", ".join(self._plain)
            raise TrainingError(f"The method reports no loss {missing[0]!r} to be weighted; its losses are {known}.")
        plain = {f"plain.{name}": float(value.float().mean()) for name, value in self._plain.items()}
        return {**self.method.metrics(), **plain}

    def _with_film(self, phase: Phase) -> list[nn.Parameter]:
        own = {id(parameter) for parameter in phase.parameters}
        network, film = self.conditioned.network, self.conditioned.film
        moved = [name for name in self.conditioned.sites if own & {id(one) for one in _around(network, name)}]
        added = [parameter for name in moved for parameter in film[name.replace(".", "-")].parameters()]
        return [*phase.parameters, *added]


def _around(network: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters of a layer, or of the block around a layer that has none."""
    own = list(network.get_submodule(name).parameters())
    return own or list(network.get_submodule(name.rpartition(".")[0]).parameters())
