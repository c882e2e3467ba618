"""What experts exchange: plain tensors, lists of strings, and token sequences with their mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from dragoman.ports import Port

__all__ = [
    "Representation",
    "Tokens",
    "concatenate",
    "disturb",
    "length",
    "mismatch",
    "randn_rows",
    "repeat_rows",
    "select",
]


class Tokens(NamedTuple):
    """A batch of sequences.

    Attributes:
        values: ``[B, T, D]``; positions outside the mask are zero.
        mask: bool ``[B, T]``, true where there is a token.
    """

    values: Tensor
    mask: Tensor


#: A batch of samples at a port.
Representation: TypeAlias = Tensor | Tokens | list[str]


def length(batch: Representation) -> int:
    """How many samples a batch has."""
    return len(batch.values) if isinstance(batch, Tokens) else len(batch)


def select(batch: Representation, rows: Sequence[int]) -> Representation:
    """The samples of a batch at the given rows."""
    if isinstance(batch, list):
        return [batch[row] for row in rows]
    if isinstance(batch, Tokens):
        return Tokens(batch.values[list(rows)], batch.mask[list(rows)])
    return batch[list(rows)]


def repeat_rows(batch: Representation, times: int) -> Representation:
    """Each sample ``times`` times in a row: ``a b`` becomes ``a a b b``."""
    return select(batch, [row for row in range(length(batch)) for _ in range(times)])


def concatenate(batches: Sequence[Representation]) -> Representation:
    """Join one or more batches of one kind; token sequences are padded to the longest."""
    first = batches[0]
    kinds = {kind.__name__ for kind in (list, Tokens, Tensor) for batch in batches if isinstance(batch, kind)}
    if len(kinds) > 1:
        raise TypeError(f"Batches of different kinds cannot be joined: {' and '.join(sorted(kinds))}.")
    if isinstance(first, list):
        return [text for batch in cast("Sequence[list[str]]", batches) for text in batch]
    if isinstance(first, Tokens):
        return _concatenate_tokens(cast("Sequence[Tokens]", batches))
    return torch.cat(list(cast("Sequence[Tensor]", batches)))


def mismatch(batch: object, port: Port) -> str:
    """What a batch is or has that its port does not say, as the end of a sentence that begins with it; ``""`` if not.

    >>> mismatch(torch.zeros(2, 9), Port("pooled", "vector", (8,)))
    'has shape [9] for each sample, but its port says [8]'
    """
    if port.modality == "text":
        is_texts = isinstance(batch, list) and all(isinstance(text, str) for text in batch)
        return "" if is_texts else "is no list of str"
    values = batch.values if isinstance(batch, Tokens) else batch
    if isinstance(batch, Tokens) != (port.modality == "tokens") or not isinstance(values, Tensor):
        return f"is no {port.modality}, as its port says"
    found = list(values.shape[1:])
    if len(found) != len(port.shape) or any(
        size != said for size, said in zip(found, port.shape, strict=True) if not isinstance(said, str)
    ):
        return f"has shape {found} for each sample, but its port says {list(port.shape)}"
    if str(values.dtype) != f"torch.{port.dtype}":
        return f"is {values.dtype}, but its port says {port.dtype}"
    return ""


def disturb(batch: Representation, deviation: float, generator: torch.Generator | None) -> Representation:
    """A batch with Gaussian noise on its values, in their own units; texts stay as they are, and padding is zero."""
    if isinstance(batch, list):
        return batch
    if isinstance(batch, Tensor):
        return _noisy(batch, deviation, generator)
    # Half of a batch may be padding, and drawing noise takes longer than anything that is done with it.
    values, inside = batch.values.flatten(0, 1), batch.mask.flatten().nonzero().squeeze(1)
    noisy = torch.zeros_like(values).index_copy(0, inside, _noisy(values[inside], deviation, generator))
    return Tokens(noisy.view_as(batch.values), batch.mask)


def _noisy(values: Tensor, deviation: float, generator: torch.Generator | None) -> Tensor:
    if not deviation:
        return values
    return values.add(torch.randn(values.shape, generator=generator).to(values), alpha=deviation)


def randn_rows(rows: int, size: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal ``[rows, size]`` drawn row by row, so that batches of any size see the same rows.

    ``torch.randn`` of a larger tensor does not begin with the values of a smaller one; drawing row by row does.
    """
    drawn = [torch.randn(size, generator=generator, device=_device_of(generator)) for _ in range(rows)]
    return torch.stack(drawn) if drawn else torch.empty(0, size, device=_device_of(generator))


def _concatenate_tokens(batches: Sequence[Tokens]) -> Tokens:
    longest = max(batch.values.shape[1] for batch in batches)
    missing = [longest - batch.values.shape[1] for batch in batches]
    pad = torch.nn.functional.pad
    return Tokens(
        torch.cat([pad(batch.values, (0, 0, 0, gap)) for batch, gap in zip(batches, missing, strict=True)]),
        torch.cat([pad(batch.mask, (0, gap)) for batch, gap in zip(batches, missing, strict=True)]),
    )


def _device_of(generator: torch.Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")
