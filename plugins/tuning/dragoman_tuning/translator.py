"""The translator: class names or numbers to latents, with embeddings that were tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from dragoman.errors import InputError, PortError
from dragoman.ports import Port
from dragoman.representation import Representation, Tokens
from dragoman.translator import Translator

__all__ = ["ClassEmbedding"]


class ClassEmbedding(Translator):
    """``name -> (z, e[name])``: z is drawn as the generator was trained, the embedding is the class's own.

    With ``region`` each class has a mean and a deviation of z as well, and z is ``mean + deviation * noise``.

    Args:
        names: name of each class.
        size: length of an embedding.
        z: length of the generator's z.
        cut: where the prior of z ends on either side, as BigGAN-deep's does at 2; 0 is a normal distribution.
        region: whether classes have regions of z.

    Raises:
        InputError: there are no names, or two are alike.

    Attributes:
        embedding: ``[len(names), size]``.
        mean: of z, ``[len(names), z]``, with ``region``.
        deviation: of z, the same.
    """

    def __init__(self, names: Sequence[str], size: int, z: int, cut: float = 0.0, region: bool = False) -> None:
        super().__init__({"names": list(names), "size": size, "z": z, "cut": cut, "region": region})
        self._rows = {_key(name): row for row, name in enumerate(names)}
        if not names or len(self._rows) < len(names):
            raise InputError(f"Classes need names that differ, not {', '.join(map(repr, names)) or 'none'}.")
        self.embedding = nn.Parameter(torch.zeros(len(names), size))
        if region:
            self.mean = nn.Parameter(torch.zeros(len(names), z))
            self.deviation = nn.Parameter(torch.ones(len(names), z))

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        """Sized from the target and the embedding's length: ``names``, ``size``, optionally ``cut`` and ``region``.

        Raises:
            PortError: the source gives neither names nor class numbers, or the target's vectors are no longer
                than an embedding.
        """
        (latent,) = target.shape
        if source.modality not in ("text", "label") or int(latent) <= options["size"]:
            raise PortError(f"class-embedding does not join {source} and {target}.")
        return cls(z=int(latent) - options["size"], **options)

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """A latent for each class.

        Args:
            condition: names (case and spaces around them do not matter), or class numbers, int64 ``[B]``.
            generator: draws z row by row.
            temperature: factor of z, in a region of the distance from its mean.
            **knobs: none.

        Returns:
            ``[B, z + size]``: z first.

        Raises:
            InputError: no class has that name or number.
        """
        rows = self.rows(condition)
        z = (
            torch.stack([self._draw(generator) for _ in range(len(rows))])
            if len(rows)
            else torch.empty(0, self.config["z"])
        )
        z, rows = temperature * z.to(self.embedding), rows.to(self.embedding.device)
        if self.config["region"]:
            z = self.mean[rows] + self.deviation[rows] * z
        return torch.cat([z, self.embedding[rows]], dim=1)

    def rows(self, condition: Representation) -> Tensor:
        """Row of each class in the table, int64 ``[B]``.

        Raises:
            InputError: no class has that name or number.
        """
        if isinstance(condition, list):
            return torch.tensor([self._row(name) for name in condition], dtype=torch.long)
        if isinstance(condition, Tokens) or condition.dtype != torch.long or condition.ndim != 1:
            raise InputError("class-embedding takes class names, or class numbers as an int64 tensor of one dimension.")
        wrong = condition[(condition < 0) | (condition >= len(self.embedding))]
        if len(wrong):
            raise InputError(f"There is no class {int(wrong[0])}; the tuned ones are 0 to {len(self.embedding) - 1}.")
        return condition

    def _row(self, name: str) -> int:
        try:
            return self._rows[_key(name)]
        except KeyError:
            known = ", ".join(map(repr, self.config["names"]))
            raise InputError(f"No class is called {name!r}; the tuned ones are {known}.") from None

    def _draw(self, generator: torch.Generator | None) -> Tensor:
        device = generator.device if generator is not None else None
        size, cut = self.config["z"], self.config["cut"]
        if not cut:
            return torch.randn(size, generator=generator, device=device)
        inside = math.erf(cut / math.sqrt(2))
        uniform = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        return (torch.erfinv((2 * uniform - 1) * inside) * math.sqrt(2)).float()


def _key(name: str) -> str:
    return " ".join(name.casefold().split())
