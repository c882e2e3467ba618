"""Three simple ways from a caption to a latent, which a translator has to be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from dragoman.expert import Atoms
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman.translator import Translator
from dragoman_cinn.embedder import build_embedder, describe_condition

__all__ = ["Regression", "Retrieval"]


class Regression(Translator):
    """Deterministic regression: a perceptron onto the mean latent; the class embedding is snapped to the nearest.

    Args:
        config: ``condition``, as :func:`~dragoman_cinn.embedder.describe_condition` says it, and the sizes ``target``
            and ``width``.
    """

    atom_values: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.network = build_embedder(config["condition"], config["width"], layers=2, out=config["target"])
        self.start = 0
        self.register_buffer("atom_values", torch.empty(0, 0))

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """Sized from the ports."""
        return cls({"condition": describe_condition(source), "target": target.shape[0], "width": 512} | options)

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Measure the conditions, and remember the class embeddings."""
        self.network.initialize(condition)
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
        keys: an embedding of each pair's caption ``[N, C]``.
        target: the latents ``[N, D]``.
        neighbours: how many stored captions compete; 1 is nearest-caption retrieval.
    """

    def __init__(self, keys: Tensor, target: Tensor, neighbours: int) -> None:
        super().__init__({"neighbours": neighbours})
        self.keys, self.target = F.normalize(keys, dim=1), target

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
        return self.target[nearest.gather(1, pick).squeeze(1)]
