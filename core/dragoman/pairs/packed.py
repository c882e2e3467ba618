"""Token sequences without their padding: what a store of pairs keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self, TypeAlias

import torch
from torch import Tensor

from dragoman.representation import Representation, Tokens

__all__ = ["Kept", "PackedTokens", "join_kept", "keep", "taken"]


class PackedTokens(NamedTuple):
    """Sequences one after the other, in half precision where that can hold them: a fourth of the room of padded ones.

    Attributes:
        values: ``[T_1 + ... + T_B, D]``, float16, or as given where a value is beyond its range.
        lengths: int64 ``[B]``.
    """

    values: Tensor
    lengths: Tensor

    @classmethod
    def pack(cls, tokens: Tokens) -> Self:
        """The tokens inside the masks."""
        values = tokens.values[tokens.mask].cpu()
        fits = values.numel() == 0 or bool(values.abs().max() <= torch.finfo(torch.float16).max)
        return cls(values.half() if fits else values, tokens.mask.sum(dim=1).cpu())

    @classmethod
    def join(cls, parts: Sequence[PackedTokens]) -> Self:
        """All sequences of all parts."""
        return cls(torch.cat([part.values for part in parts]), torch.cat([part.lengths for part in parts]))

    def at(self, rows: Tensor) -> Tokens:
        """The sequences of the given rows in float32, padded to the longest of them."""
        lengths = self.lengths[rows]
        position = torch.arange(int(lengths.max()) if len(rows) else 0)
        mask = position < lengths[:, None]
        start = (self.lengths.cumsum(0) - self.lengths)[rows]
        values = torch.zeros(*mask.shape, self.values.shape[1])
        values[mask] = self.values[(start[:, None] + position)[mask]].float()
        return Tokens(values, mask)


#: Representations as they are kept.
Kept: TypeAlias = Tensor | PackedTokens


def keep(representation: Representation) -> Kept:
    """A representation without what can be restored."""
    if isinstance(representation, Tokens):
        return PackedTokens.pack(representation)
    assert isinstance(representation, Tensor)
    return representation.cpu().contiguous()


def join_kept(parts: Sequence[Kept]) -> Kept:
    """The rows of all parts, which are of one kind."""
    packed = [part for part in parts if isinstance(part, PackedTokens)]
    return PackedTokens.join(packed) if packed else torch.cat([part for part in parts if isinstance(part, Tensor)])


def taken(kept: Kept, rows: Tensor) -> Representation:
    """The given rows as they were before."""
    return kept.at(rows) if isinstance(kept, PackedTokens) else kept[rows]
