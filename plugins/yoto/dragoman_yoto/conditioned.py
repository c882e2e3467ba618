"""A network whose layers are modulated by loss coefficients, without a change to its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.training.method import Losses
from dragoman_yoto.family import LossFamily
from dragoman_yoto.modulation import Modulation, fold_into

__all__ = ["Conditioned", "site_names"]

#: Smallest running mean: a loss that is always 0 stays 0.
_LEAST = 1e-20
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
#: Modulation behind a normalisation is conditional normalisation.
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_NORMS = (*_INSTANCE_NORMS, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_OPTIONS = {"hidden", "strength", "norm"}
_SITES = (*_CONVOLUTIONS, nn.Linear, *_NORMS, nn.GroupNorm)


def site_names(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the convolutions, linear layers and normalisations that match.

    A normalisation takes away what was done to the convolution before it: modulate one of the two.

    Args:
        network: where to look.
        patterns: shell patterns of qualified names, such as ``"encoder.*"``; those that begin with ``!`` exclude.

    Raises:
        InputError: none matches.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    layers = [name for name, module in network.named_modules() if isinstance(module, _SITES)]
    found = [name for name in layers if _matches(name, wanted) and not _matches(name, unwanted)]
    if not found:
        raise InputError(f"No layer matches {', '.join(patterns)}; the layers are {', '.join(layers) or 'none'}.")
    return found


class Conditioned(nn.Module):
    """A network, and a :class:`~dragoman_yoto.modulation.Modulation` behind each of its sites.

    The modulations are hooks: the network's code, the names of its parameters and its checkpoints stay as they are.
    Outside of :meth:`using` it behaves as at the knobs' defaults. If no coefficient varies, nothing is modulated, and
    it is the network itself.

    Args:
        network: any module of convolutions, linear layers and normalisations.
        family: the losses and their coefficients.
        sites: patterns of the layers whose outputs are modulated, see :func:`site_names`.
        **options: of the modulations: ``hidden``, ``strength``, ``norm``.

    Attributes:
        running: sums and weights of the losses' running means, where the family balances them.
        film: the modulations, by the names of their sites with ``-`` for ``.``.

    Raises:
        InputError: no layer matches the sites, or there is no such option or value of one.
    """

    running: Tensor

    def __init__(
        self, network: nn.Module, family: LossFamily, *, sites: Sequence[str] = ("*",), **options: Any
    ) -> None:
        super().__init__()
        if unknown := sorted(set(options) - _OPTIONS):
            raise InputError(f"Modulations have no option {unknown[0]!r}; they have {', '.join(sorted(_OPTIONS))}.")
        self.network, self.family = network, family
        if family.balance:
            self.register_buffer("running", torch.zeros(2, len(family.coefficients)))
        self.film = nn.ModuleDict()
        self._values = family.values()
        self.sites = site_names(network, sites) if family.varying else []
        for name in self.sites:
            site = network.get_submodule(name)
            film = _modulation(site, len(family.varying), options)
            self.film[_key(name)] = film.to(_anywhere(site, network))
            site.register_forward_hook(partial(self._modulate, _key(name)))

    def balanced(self, losses: Losses) -> Losses:
        """Losses, those with a coefficient divided by their running mean, which a step of training moves.

        Layers of very different scale then count alike (Babaeizadeh, Ghiasi 2018, arXiv:1811.08560, section 3.2).
        """
        if not self.family.balance:
            return losses
        for k, name in enumerate(one.loss for one in self.family.coefficients):
            total, weight = self.running[0, k], self.running[1, k]
            if self.training:
                total.mul_(self.family.balance).add_(losses[name].detach().mean())
                weight.mul_(self.family.balance).add_(1)
            mean = total / weight.clamp(min=1)
            losses = {**losses, name: losses[name] / mean.clamp(min=_LEAST).to(losses[name])}
        return losses

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The network, at the coefficients of :meth:`using`."""
        return self.network(*inputs, **named)

    @contextmanager
    def using(self, values: Tensor) -> Iterator[None]:
        """Coefficients ``[B, K]`` (or ``[1, K]`` for all samples) at which the network works inside of the block."""
        before, self._values = self._values, values
        try:
            yield
        finally:
            self._values = before

    @torch.no_grad()
    def folded(self, knobs: Mapping[str, float] | None = None) -> dict[str, Tensor]:
        """The state of a plain network that is equal to this one at one setting of the knobs.

        FiLM behind a linear layer is another linear layer, so a choice of coefficients costs nothing afterwards.
        It is computed in float64.

        Raises:
            InputError: there is no such knob, its value is out of range, a layer has no bias to hold the shift, or the
                modulations normalise.
        """
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        condition = self.family.condition(self.family.values(knobs))
        for name in self.sites:
            self._fold(name, condition, state)
        return state

    def _fold(self, name: str, condition: Tensor, state: dict[str, Tensor]) -> None:
        site, film = self.network.get_submodule(name), self.film[_key(name)]
        assert isinstance(film, Modulation)
        weight, bias = f"{name}.weight", f"{name}.bias"
        if bias not in state or film.norm != "none" or isinstance(site, (*_NORMS, nn.GroupNorm)):
            raise InputError(f"The modulation of {name} does not fold into it: there is no bias, or it normalises.")
        exact = _in_float64(film, state[weight].device)
        scale, shift = (rows[0] for rows in exact.coefficients(condition.to(state[weight].device)))
        scaled = fold_into(state[weight].double(), scale, transposed=isinstance(site, _TRANSPOSED))
        state[bias] = (state[bias].double() * scale + shift).to(state[bias])
        state[weight] = scaled.to(state[weight])

    def _modulate(self, key: str, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        values = self._values.to(output.device)
        modulated: Tensor = self.film[key](output, self.family.condition(values).to(output))
        return modulated


def _in_float64(film: Modulation, device: torch.device) -> Modulation:
    import copy

    return copy.deepcopy(film).to(device).double()


def _modulation(site: nn.Module, condition: int, options: Mapping[str, Any]) -> Modulation:
    if isinstance(site, nn.Linear):
        return Modulation(site.out_features, condition, dim=-1, **options)
    features = site.num_features if isinstance(site, _NORMS) else getattr(site, "num_channels", None)
    return Modulation(features or site.out_channels, condition, **options)  # type: ignore[arg-type]


def _anywhere(site: nn.Module, network: nn.Module) -> Tensor:
    """A weight that says where the site computes, and in which type: a normalisation may have none of its own."""
    return next(iter((*site.parameters(), *network.parameters())))


def _key(name: str) -> str:
    return name.replace(".", "-")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
