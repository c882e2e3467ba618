"""A learned acceptance: which targets are fit to be shown, from those that a captioner declined."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Acceptance"]

#: Share of hidden units that is left out in training: latents are few, and easily learned by heart.
DROPOUT = 0.2
#: Power of the acceptance by which draws are chosen: as if each had to be accepted twice. With 1, too many that are in
#: doubt come through; beyond 2, variety goes faster than doubt.
STRICTNESS = 2


class Acceptance(nn.Module):
    """A classifier of targets: were they given a caption, or declined?

    A flow is smooth, and where declined draws lie between accepted ones it leaks into the gaps. Given several of its
    draws, the classifier chooses one that lies outside of the gaps: a learned accept-reject step behind a flow (compare
    Bauer, Mnih 2019, arXiv:1810.11428, and Stimper et al. 2022, arXiv:2110.15828, who have it in the base).

    Untrained it accepts everything equally.

    Args:
        size: continuous coordinates D of a target.
        atoms: how many values the discrete coordinates take; 1 where there are none.
        width: of the hidden layers.
    """

    def __init__(self, size: int, atoms: int, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(size, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.atom = nn.Embedding(atoms, 2 * width)
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.SiLU(), nn.Dropout(DROPOUT))
        self.output = nn.Linear(width, 1)
        for start in (self.atom, self.output):
            nn.init.zeros_(start.weight)

    def forward(self, x: Tensor, index: Tensor | None) -> Tensor:
        """Log-odds ``[B]`` that targets are accepted.

        Args:
            x: standardised continuous coordinates ``[B, D]``.
            index: the atoms ``[B]``, if there are any.
        """
        index = torch.zeros(len(x), dtype=torch.long, device=x.device) if index is None else index
        scale, shift = self.atom(index).chunk(2, dim=1)
        hidden = self.norm(self.input(x)) * (1 + scale) + shift
        hidden = self.dropout(functional.silu(hidden))
        log_odds: Tensor = self.output(hidden + self.hidden(hidden)).squeeze(1)
        return log_odds

    @staticmethod
    def losses(accepted: Tensor, declined: Tensor) -> Tensor:
        """Cross-entropy of as many accepted targets as declined ones, from their log-odds, ``[B]``."""
        return (functional.softplus(-accepted) + functional.softplus(declined)) / 2

    @staticmethod
    def choose(log_odds: Tensor, uniform: Tensor) -> Tensor:
        """Which of K draws to keep: each with a chance in proportion to its acceptance, squared.

        Args:
            log_odds: ``[B, K]``.
            uniform: quantiles ``[B]`` in [0, 1].

        Returns:
            Positions ``[B]``.
        """
        share = torch.softmax(STRICTNESS * functional.logsigmoid(log_odds.float()), dim=1).cumsum(dim=1)
        position = torch.searchsorted(share, uniform.to(share).unsqueeze(1), right=True).squeeze(1)
        return position.clamp(max=log_odds.shape[1] - 1)
