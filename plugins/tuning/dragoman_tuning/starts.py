"""Where the search for an embedding begins."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman_tuning.method import EmbeddingTuning

__all__ = ["candidates", "choose", "most_recognised"]

#: The higher the power of exponential draws, the fewer classes share a mixture.
_FEW = 3


def candidates(
    kind: str, table: Tensor, count: int, *, own: Tensor | None, noise: float, generator: torch.Generator
) -> Tensor:
    """Starts of the kind ``mean``, ``random``, ``own`` or ``mixture``.

    Args:
        kind: around the mean of the trained embeddings, at trained ones of random classes, around the class's own, or
            convex combinations of trained ones, most of them of a few.
        table: trained embeddings ``[K, d]``.
        count: how many.
        own: the class's own embedding ``[d]``, if it has one.
        noise: standard deviation around the mean or the class's own, in units of the table's.
        generator: source of randomness, on the CPU.

    Returns:
        ``[count, d]``.

    Raises:
        InputError: the class has no embedding of its own to start from.
    """
    if kind == "random":
        rows = torch.cat([torch.randperm(len(table), generator=generator) for _ in range(-(-count // len(table)))])
        return table[rows[:count].to(table.device)]
    if kind == "mixture":
        shares = torch.rand(count, len(table), generator=generator).log().neg() ** _FEW
        return (shares / shares.sum(dim=1, keepdim=True)).to(table) @ table
    if kind == "own" and own is None:
        raise InputError("A class that the generator never saw has no embedding of its own; start from mean or top.")
    centre = table.mean(dim=0) if own is None or kind == "mean" else own
    scatter = noise * table.std() * torch.randn(count, table.shape[1], generator=generator).to(table)
    return centre + scatter


@torch.no_grad()
def most_recognised(method: EmbeddingTuning, table: Tensor, label: int, count: int, z: Tensor) -> Tensor:
    """The trained embeddings whose samples the critic gives the highest mean probability of a class, ``[count, d]``.

    There are as many as the table has, if that is less than ``count``; they are then repeated.
    """
    shares = torch.stack(
        [method.critic.see(method.render(row[None], z)).logits.softmax(dim=1)[:, label].mean() for row in table]
    )
    best = table[shares.argsort(descending=True)]
    return best.repeat(-(-count // len(best)), 1)[:count]


def choose(
    method: EmbeddingTuning, given: Tensor, label: int, count: int, z: Tensor, real: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The ``count`` candidates with the lowest objective ``[count, d]``, and what it is ``[count]``."""
    values = method.values(given, label, z, real)
    order = values.argsort()[:count]
    return given[order], values[order]
