"""The condition of a U-Net: tokens to attend to, and one vector for the time embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.representation import Representation, Tokens
from dragoman_cinn.standardizer import Standardizer

__all__ = ["TextCondition", "dropped", "empty_like", "join_conditions"]

#: Parts of a token that are pooled with weights of their own: a noun and its adjectives are several tokens.
POOLS = 4


class TextCondition(nn.Module):
    """Standardises and projects tokens, puts a learned token before them, and pools them by attention.

    Tokens that are masked have no influence. A condition without any token is the empty one, which training sees
    whenever it drops a condition, and which guidance subtracts. Layer normalisation of what is attended to and pooled
    follows Saharia et al. 2022 (arXiv:2205.11487, appendix E).

    Args:
        features: size C of a token, or of a vector, which counts as one token.
        width: size W of the projected tokens.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.standardizer = Standardizer(features)
        self.project = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.start = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, POOLS if width % POOLS == 0 else 1)
        self.pooled = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def initialize(self, condition: Representation) -> None:
        """Measure the statistics of the tokens inside the masks."""
        values, mask = self.checked(condition)
        if mask.any():
            self.standardizer.measure(values[mask])

    def forward(self, condition: Representation) -> tuple[Tokens, Tensor]:
        """Tokens ``[B, 1 + T, W]`` with their mask, and the pooled vector ``[B, W]``."""
        values, mask = self.checked(condition)
        # What is outside of the mask may be anything, even NaN.
        values = torch.where(mask.unsqueeze(2), self.standardizer(values), 0.0)
        tokens = torch.cat([self.start.expand(len(values), -1, -1), self.project(values)], dim=1)
        mask = torch.nn.functional.pad(mask, (1, 0), value=True)
        tokens = self.norm(tokens)
        scores = self.score(tokens).float().masked_fill(~mask.unsqueeze(2), -torch.inf)
        parts = tokens.unflatten(2, (scores.shape[2], -1))
        pooled = torch.einsum("bth,bthw->bhw", scores.softmax(dim=1).to(tokens), parts).flatten(1)
        return Tokens(tokens, mask), self.pooled(pooled)

    def checked(self, condition: Representation) -> Tokens:
        """The condition as tokens, on the module's device.

        Raises:
            InputError: it is neither tokens nor vectors of that size.
        """
        mean = self.standardizer.mean
        if isinstance(condition, Tokens) and condition.values.shape[2:] == (self.features,):
            return Tokens(condition.values.to(mean), condition.mask.to(mean.device))
        if isinstance(condition, Tensor) and condition.shape[1:] == (self.features,):
            ones = torch.ones(len(condition), 1, dtype=torch.bool, device=mean.device)
            return Tokens(condition.to(mean).unsqueeze(1), ones)
        size = self.features
        raise InputError(f"The condition must be Tokens [B, T, {size}] or a tensor [B, {size}].")


def empty_like(tokens: Tokens) -> Tokens:
    """The empty condition, as often as there are samples."""
    return Tokens(tokens.values, torch.zeros_like(tokens.mask))


def dropped(tokens: Tokens, share: float, generator: torch.Generator | None) -> Tokens:
    """Each condition becomes the empty one with probability ``share``."""
    place = generator.device if generator is not None else None
    keep = torch.rand(len(tokens.mask), 1, generator=generator, device=place) >= share
    return Tokens(tokens.values, tokens.mask & keep.to(tokens.mask.device))


def join_conditions(one: Tokens, other: Tokens) -> Tokens:
    """Both batches after each other, padded to the longer tokens."""
    longest = max(one.mask.shape[1], other.mask.shape[1])
    pad = torch.nn.functional.pad
    values = [pad(part.values, (0, 0, 0, longest - part.mask.shape[1])) for part in (one, other)]
    masks = [pad(part.mask, (0, longest - part.mask.shape[1])) for part in (one, other)]
    return Tokens(torch.cat(values), torch.cat(masks))
