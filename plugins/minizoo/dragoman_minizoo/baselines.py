"""Three simple ways from a caption to a latent, which a translator has to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.expert import Atoms
from dragoman.pairs import PairStore
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman.translator import Translator

__all__ = ["Regression", "Retrieval"]


class Regression(Translator):
    """Deterministic regression: a perceptron onto the mean latent; the class embedding is snapped to the nearest.

    Args:
        config: ``condition`` and ``target`` sizes, ``width``.
    """

    atom_values: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        width = config["width"]
        sizes: Sequence[int] = (config["condition"], width, width)
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.network = nn.Sequential(
            nn.LayerNorm(config["condition"], elementwise_affine=False), *hidden, nn.Linear(width, config["target"])
        )
        self.start = 0
        self.register_buffer("atom_values", torch.empty(0, 0))

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """Sized from the ports."""
        return cls({"condition": source.shape[0], "target": target.shape[0], "width": 512} | options)

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Remember the class embeddings."""
        if atoms is not None:
            self.start, self.atom_values = atoms

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Squared error per sample."""
        return {"squared_error": F.mse_loss(self.network(condition), target, reduction="none").mean(dim=1)}

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """The same latent every time, ``[B, D]``."""
        latent: Tensor = self.network(condition)
        end = self.start + self.atom_values.shape[1]
        nearest = torch.cdist(latent[:, self.start : end], self.atom_values).argmin(dim=1)
        return torch.cat([latent[:, : self.start], self.atom_values[nearest], latent[:, end:]], dim=1)


class Retrieval(Translator):
    """Latents of stored pairs whose captions are nearest in cosine, one of ``neighbours`` at random.

    Args:
        store: the pairs.
        neighbours: how many stored captions compete; 1 is nearest-caption retrieval.
    """

    def __init__(self, store: PairStore, neighbours: int) -> None:
        super().__init__({"neighbours": neighbours})
        self.store = store
        assert isinstance(store.conditions, Tensor)
        self.keys = F.normalize(store.conditions[store.rows], dim=1)

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """A stored latent for each condition, ``[B, D]``."""
        assert isinstance(condition, Tensor)
        count: int = self.config["neighbours"]
        found = [(F.normalize(part, dim=1) @ self.keys.T).topk(count, dim=1).indices for part in condition.split(256)]
        nearest = torch.cat(found)
        pick = torch.randint(count, (len(nearest), 1), generator=generator)
        return self.store.target[nearest.gather(1, pick).squeeze(1)]
