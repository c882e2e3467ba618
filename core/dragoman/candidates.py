"""Which of several candidates is kept, without looking at more of them than could be."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["choose", "draw_luck"]


def draw_luck(rows: int, size: int, generator: torch.Generator, temperature: float) -> Tensor:
    """What added to scores ``[rows, size]`` lets their maximum be a draw in proportion to ``exp(score / temperature)``.

    Gumbel noise, or zeros where there is nothing to draw. Its own generator takes one step of the given one, so that
    neither batches nor further rows matter.
    """
    if not temperature or size == 1:
        return torch.zeros(rows, size, dtype=torch.float64)
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    own = torch.Generator().manual_seed(int(seed))
    return -temperature * (-torch.rand(rows, size, dtype=torch.float64, generator=own).log()).log()


def choose(look: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], luck: Tensor, ceiling: float) -> Tensor:
    """The candidate of each row whose score and luck make the largest sum; of equal ones the first.

    The luckiest candidate of each row is looked at first. A row is done when not even the highest possible score
    would let its next candidate win, so that the result is that of looking at all of them.

    Args:
        look: ``(rows, candidates)``, both int64 ``[R]``, to their outputs ``[R, ...]`` and scores ``[R]``.
        luck: ``[B, candidates]``, float64.
        ceiling: no score is higher; infinite where no bound is known.

    Returns:
        Outputs ``[B, ...]``.
    """
    order = luck.argsort(dim=1, descending=True, stable=True)
    rows = torch.arange(len(luck))
    kept, scores = look(rows, order[:, 0])
    best = scores.cpu().to(luck) + luck.gather(1, order[:, :1]).squeeze(1)
    for following in order[:, 1:].T:
        rows = rows[best[rows] < ceiling + luck[rows, following[rows]]]
        if not len(rows):
            break
        outputs, scores = look(rows, following[rows])
        values = scores.cpu().to(luck) + luck[rows, following[rows]]
        better = values > best[rows]
        kept[rows[better]], best[rows[better]] = outputs[better], values[better]
    return kept
