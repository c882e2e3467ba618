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
from dragoman_yoto.family import LossFamily
from dragoman_yoto.modulation import Modulation, fold_into

__all__ = ["Conditioned", "site_names"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)


def site_names(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the convolutions and linear layers that match.

    Args:
        network: where to look.
        patterns: shell patterns of qualified names, such as ``"encoder.*"``; those that begin with ``!`` exclude.

    Raises:
        InputError: none matches.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    layers = [name for name, module in network.named_modules() if isinstance(module, (*_CONVOLUTIONS, nn.Linear))]
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
        network: any module of convolutions and linear layers.
        family: the losses and their coefficients.
        sites: patterns of the layers whose outputs are modulated, see :func:`site_names`.
        **options: of the modulations: ``hidden``, ``strength``, ``norm``.

    Attributes:
        film: the modulations, by the names of their sites with ``-`` for ``.``.
    """

    def __init__(
        self, network: nn.Module, family: LossFamily, *, sites: Sequence[str] = ("*",), **options: Any
    ) -> None:
        super().__init__()
        self.network, self.family = network, family
        self.film = nn.ModuleDict()
        self._values = family.values()
        self.sites = site_names(network, sites) if family.varying else []
        for name in self.sites:
            site = network.get_submodule(name)
            self.film[_key(name)] = _modulation(site, len(family.varying), options)
            site.register_forward_hook(partial(self._modulate, _key(name)))

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
        if bias not in state or film.norm != "none":
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
        film = Modulation(site.out_features, condition, dim=-1, **options)
    else:
        assert isinstance(site, _CONVOLUTIONS)
        film = Modulation(site.out_channels, condition, **options)
    weight = site.weight
    return film.to(weight.device, weight.dtype)


def _key(name: str) -> str:
    return name.replace(".", "-")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
