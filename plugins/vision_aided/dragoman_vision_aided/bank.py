"""The bank: vision experts that may become critics, named on one line, and their pooled features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman_registry.digest import digest_of_tensors
from dragoman_vision_aided.taps import default_taps, read_taps, taps_of

if TYPE_CHECKING:
    from dragoman_vision_aided.features import FeatureCache

__all__ = ["Member", "load_bank", "split_bank"]

#: Vector ports that stand for a whole image, in the order of preference.
_POOLED = ("pooled", "image", "features", "embedding")
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Member:
    """One expert of the bank.

    Attributes:
        name: what its critic is called.
        spec: what was written, ``NAME[=ADDRESS][:TAP[+TAP...]]``.
        expert: the network.
        taps: ports at which the critic looks.
    """

    name: str
    spec: str
    expert: Expert
    taps: tuple[str, ...]

    @classmethod
    def load(cls, spec: str, *, device: str | torch.device | None = None) -> Member:
        """Load an expert, and check its taps.

        Raises:
            UnknownNameError: no installed plugin offers it.
            PortError: it has no such tap.
        """
        endpoint = EndpointSpec.parse(spec)
        expert = load_expert(endpoint.expert, endpoint.address, device=device)
        taps = tuple(endpoint.port.split("+")) if endpoint.port else default_taps(expert, endpoint.expert)
        taps_of(expert, taps, spec)
        return cls(_name_of(endpoint), spec, expert, taps)

    @cached_property
    def digest(self) -> str:
        """Of the expert's weights."""
        return digest_of_tensors({name: value.cpu() for name, value in self.expert.state_dict().items()})

    @property
    def pooled_port(self) -> str:
        """The vector port that the probe looks at; where there is none, the last tap, averaged over positions."""
        ports = self.expert.ports
        able = [name for name in _POOLED if name in ports and ports[name].modality == "vector" and ports[name].gives]
        return able[0] if able else self.taps[-1]

    @torch.no_grad()
    def pooled(self, images: Tensor) -> Tensor:
        """Float32 ``[N, D]`` on the CPU of images ``[N, C, H, W]``, bytes or floats in [0, 1]."""
        weight = next(self.expert.parameters(), images)
        port = taps_of(self.expert, [self.pooled_port], self.name)
        parts = []
        for part in images.split(_BATCH):
            seen = read_taps(self.expert, _unit(part).to(weight.device), port, self.name)[0]
            parts.append((seen.mean(dim=(2, 3)) if seen.ndim == 4 else seen).cpu())
        return torch.cat(parts)

    def features(self, images: Tensor, cache: FeatureCache | None) -> Tensor:
        """What :meth:`pooled` gives, from a cache where it has been computed before."""
        if cache is None:
            return self.pooled(images)
        return cache.get(f"{self.digest}:{self.pooled_port}", images, lambda: self.pooled(images))


def split_bank(text: str) -> list[str]:
    """``"vgg16,swin_tiny"`` as its entries.

    Raises:
        InputError: there is none.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries:
        raise InputError("The bank is empty; name experts, as in vgg16,swin_tiny,clip.")
    return entries


def load_bank(specs: Sequence[str], *, device: str | torch.device | None = None) -> list[Member]:
    """Load the experts of a bank.

    Raises:
        InputError: two would have one name.
    """
    names = [_name_of(EndpointSpec.parse(spec)) for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"Two experts of the bank are called {twice[0]!r}; rename the folder of one of them.")
    return [Member.load(spec, device=device) for spec in specs]


def _name_of(endpoint: EndpointSpec) -> str:
    """The card's name, or where an address is given, that of the checkpoint."""
    last = Path(endpoint.address.partition("@")[0]).name if endpoint.address else endpoint.expert.rpartition("/")[2]
    return re.sub(r"[^\w-]+", "-", last).strip("-") or endpoint.expert


def _unit(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float() / 255
