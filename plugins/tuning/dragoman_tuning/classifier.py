"""A classifier, as tuning needs it: its logits, a vector of features beside them, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.errors import InputError, PortError
from dragoman.expert import Expert

__all__ = ["Classifier", "Seen"]

_FEATURES = ("features", "pooled")


class Seen(NamedTuple):
    """What a classifier sees.

    Attributes:
        features: ``[B, D]``.
        logits: ``[B, K]``.
    """

    features: Tensor
    logits: Tensor


class Classifier:
    """Any expert with a port ``logits``, and a vector port ``features`` or ``pooled``.

    Args:
        name: how the user calls it.
        expert: the network.

    Raises:
        PortError: a port is missing.
    """

    def __init__(self, name: str, expert: Expert) -> None:
        self.name, self.expert = name, expert
        vectors = [port for port in _FEATURES if port in expert.ports and expert.ports[port].modality == "vector"]
        if "logits" not in expert.ports or not vectors:
            raise PortError(f"{name!r} is no classifier: it needs a port logits, and a vector features or pooled.")
        self.port = vectors[0]

    @property
    def members(self) -> list[Classifier]:
        """The classifiers that this one consists of."""
        return [self]

    @property
    def network(self) -> nn.Module:
        """Everything that has weights."""
        return nn.ModuleList(member.expert for member in self.members)

    @classmethod
    def load(cls, text: str, device: torch.device | str | None = None) -> Classifier:
        """Load ``NAME[=ADDRESS]``."""
        spec = EndpointSpec.parse(text)
        return cls(text, load_expert(spec.expert, spec.address, device=device))

    @property
    def labels(self) -> list[str]:
        """Names of its classes by its configuration (``labels`` or ``id2label``); numbers where that is silent."""
        for key in ("labels", "id2label"):
            given = self.expert.config.get(key)
            if isinstance(given, Mapping):
                return [str(given[number]) for number in sorted(given, key=int)]
            if given:
                return [str(name) for name in given]
        (count,) = self.expert.port("logits").shape
        return [str(number) for number in range(int(count))]

    def label(self, name: str) -> int:
        """The number of a class by its name, or by the number itself.

        Raises:
            InputError: there is none.
        """
        labels = [label.casefold() for label in self.labels]
        wanted = name.strip().casefold()
        if wanted in labels:
            return labels.index(wanted)
        if wanted.isdecimal() and int(wanted) < len(labels):
            return int(wanted)
        some = ", ".join(self.labels[:20]) + (", ..." if len(labels) > 20 else "")
        raise InputError(f"{self.name!r} knows no class {name!r}; it knows {some}.")

    def see(self, images: Tensor) -> Seen:
        """Features and logits of images ``[B, C, H, W]`` in [0, 1], with gradients to the images."""
        seen = self.expert.encode_many(images, (self.port, "logits"))
        features, logits = seen[self.port], seen["logits"]
        assert isinstance(features, Tensor)
        assert isinstance(logits, Tensor)
        return Seen(features.float(), logits.float())

    @torch.no_grad()
    def look(self, images: Tensor, batch_size: int = 250) -> Seen:
        """The same without gradients, batch by batch, on the CPU."""
        device = next(self.expert.parameters(), images).device
        seen = [self.see(part.to(device)) for part in images.split(batch_size)]
        return Seen(torch.cat([s.features for s in seen]).cpu(), torch.cat([s.logits for s in seen]).cpu())
