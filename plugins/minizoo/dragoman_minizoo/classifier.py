"""Small image classifiers as experts: the captioner's eye, and the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman_minizoo.checkpoint import load_into, read_config, write
from dragoman_minizoo.networks import build_network

__all__ = ["MODEL_TYPE", "Classifier"]

MODEL_TYPE = "dragoman-classifier"


class Classifier(Expert):
    """A classifier of grey 32 x 32 images.

    Args:
        config: ``architecture`` (``"plain"`` or ``"residual"``), ``widths``, ``labels``.
    """

    reads: ClassVar[str] = "image"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.network = build_network(config["architecture"], config["widths"], len(config["labels"]))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """Ports ``features`` and ``logits``."""
        return {
            "features": Port("features", "vector", (config["widths"][-1],), gives=True, summary="pooled features"),
            "logits": Port("logits", "vector", (len(config["labels"]),), gives=True, summary="class logits"),
        }

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the checkpoint in a folder."""
        expert = cls(read_config(folder, MODEL_TYPE))
        load_into(expert.network, folder)
        return expert

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint, in half precision."""
        write(Path(folder), self.config, self.network.state_dict())

    def encode(self, inputs: Tensor, port: str, *, generator: torch.Generator | None = None) -> Tensor:
        """Images ``[B, 1, 32, 32]`` in [0, 1] to features or logits, float32."""
        return self.encode_many(inputs, (port,))[port]

    def encode_many(self, inputs: Tensor, ports: Sequence[str]) -> dict[str, Tensor]:  # type: ignore[override]
        """Several ports in one pass."""
        names = [self.port(name).name for name in ports]
        features = self.network.features(inputs.to(next(self.network.parameters())))
        both = {"features": features.float(), "logits": self.network.head(features).float()}
        return {name: both[name] for name in names}

    def labels(self, images: Tensor) -> Tensor:
        """Most likely classes, int64 ``[B]``."""
        logits: Tensor = self.network(images)
        return logits.argmax(dim=1)
