"""The captioner's eye as a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dragoman.ports import Port
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.classifier import Classifier

__all__ = ["Guide"]


class Guide(Captioner):
    """The classifier inside of the captioner, at the ports ``features`` and ``logits``."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """Ports ``features`` and ``logits``."""
        return Classifier.describe(config)

    def encode(self, inputs: Tensor, port: str, *, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        """Images ``[B, 1, 32, 32]`` in [0, 1] to features or logits, float32; gradients flow to the images."""
        return self.encode_many(inputs, (port,))[port]

    def encode_many(self, inputs: Any, ports: Sequence[str]) -> dict[str, Tensor]:  # type: ignore[override]
        """Several ports in one pass."""
        names = [self.port(name).name for name in ports]
        features = self.network.features(inputs.to(self.network.head.weight))
        both = {"features": features.float(), "logits": self.network.head(features).float()}
        return {name: both[name] for name in names}
