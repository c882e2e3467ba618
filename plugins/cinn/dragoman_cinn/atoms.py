"""Discrete coordinates: a categorical distribution over the values that they take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.expert import Atoms

__all__ = ["AtomHead", "describe_atoms"]

#: An atom counts as explained by a condition that gives it at least this share of the most likely atom's probability.
EXPLAINED_SHARE = 0.1


class AtomHead(nn.Module):
    """``p(atom | condition)`` for coordinates ``start`` to ``start + size`` that take only ``count`` values.

    Args:
        start: first of the coordinates.
        count: number of atoms K.
        size: number of coordinates d.
        condition: size E of the embedded condition.
    """

    values: Tensor

    def __init__(self, start: int, count: int, size: int, condition: int) -> None:
        super().__init__()
        self.start, self.size = start, size
        self.register_buffer("values", torch.zeros(count, size))
        self.logits = nn.Sequential(nn.LayerNorm(condition), nn.SiLU(), nn.Linear(condition, count))
        self.embedding = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, condition), nn.SiLU(), nn.Linear(condition, condition)
        )

    def initialize(self, atoms: Atoms) -> None:
        """Take the atoms' values."""
        self.values.copy_(atoms.values)

    def split(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """A target ``[B, D]`` as its continuous coordinates ``[B, D - d]`` and the nearest atom's index ``[B]``."""
        stop = self.start + self.size
        before, discrete, after = target[:, : self.start], target[:, self.start : stop], target[:, stop:]
        return torch.cat([before, after], dim=1), self.nearest(discrete)

    def join(self, continuous: Tensor, index: Tensor) -> Tensor:
        """Undo :meth:`split`: the atom's exact values go between the continuous coordinates."""
        values = self.values[index].to(continuous.dtype)
        return torch.cat([continuous[:, : self.start], values, continuous[:, self.start :]], dim=1)

    def nearest(self, discrete: Tensor) -> Tensor:
        """Index ``[B]`` of the atom nearest to each row of ``[B, d]``."""
        return torch.cdist(discrete.to(self.values), self.values).argmin(dim=1)

    def log_probability(self, embedded: Tensor) -> Tensor:
        """``log p(atom | condition)`` in nats, ``[B, E]`` to ``[B, K]``."""
        return torch.log_softmax(self.logits(embedded).float(), dim=1)

    def inform(self, embedded: Tensor, index: Tensor) -> Tensor:
        """The embedded condition ``[B, E]`` with what the atom adds to it: condition of the continuous rest."""
        added: Tensor = self.embedding(self.values[index])
        return embedded + added

    def draw(self, embedded: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """Atoms ``[B]`` at given quantiles ``[B]`` of the distribution; the most likely ones at temperature 0."""
        log_probability = self.log_probability(embedded)
        if temperature == 0:
            return log_probability.argmax(dim=1)
        cumulative = torch.softmax(log_probability / temperature, dim=1).cumsum(dim=1)
        index = torch.searchsorted(cumulative, uniform.to(cumulative).unsqueeze(1), right=True).squeeze(1)
        return index.clamp(max=len(self.values) - 1)

    def explains(self, embedded: Tensor, index: Tensor) -> Tensor:
        """Whether each condition explains each atom, bool ``[B]`` (see :data:`EXPLAINED_SHARE`)."""
        probability = self.log_probability(embedded).exp()
        own = probability.gather(1, index.unsqueeze(1)).squeeze(1)
        return own >= EXPLAINED_SHARE * probability.amax(dim=1)

    def exchange(self, embedded: Tensor, index: Tensor, explained: Tensor) -> Tensor:
        """The atoms under another condition.

        An atom that its own condition explained, and that the new condition does not, gives way to the new
        condition's most likely one. Every other atom is kept.
        """
        best = self.log_probability(embedded).argmax(dim=1)
        return torch.where(explained & ~self.explains(embedded, index), best, index)


def describe_atoms(atoms: Atoms, target: int) -> dict[str, int]:
    """What an :class:`AtomHead` has to know of the atoms, JSON-ready.

    Raises:
        InputError: a target of that size does not have the atoms' coordinates.
    """
    count, size = atoms.values.shape
    if count < 1 or atoms.start < 0 or atoms.start + size > target:
        raise InputError(
            f"{count} atoms at coordinates {atoms.start} to {atoms.start + size} of a target of {target} do not fit."
        )
    return {"start": atoms.start, "count": count, "size": size}
