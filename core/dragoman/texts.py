"""Texts on their way into an expert: checked, tokenised, cut where too long, in batches of similar length."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dragoman.errors import InputError
from dragoman.representation import Representation, concatenate, select

__all__ = ["TruncationWarning", "check_texts", "encode_texts", "length_batches", "pad", "tokenize", "warn_truncated"]


class TruncationWarning(UserWarning):
    """Some texts are longer than the encoder reads; what was cut has no influence on their representation."""


def encode_texts(
    inputs: Any,
    tokenizer: Any,
    limit: int,
    encode: Callable[[list[list[int]]], Representation],
    *,
    batch_size: int,
    stacklevel: int = 1,
) -> Representation:
    """Encode texts: each distinct one once, in batches of similar length, without gradients.

    Args:
        inputs: list of str, possibly empty; for no texts ``encode`` is asked about no rows.
        tokenizer: a tokenizer of transformers.
        limit: longest text in tokens, special ones included.
        encode: token ids of a batch to its representation.
        batch_size: texts that go through the encoder at once.
        stacklevel: whose line a :class:`TruncationWarning` names, as in :func:`warnings.warn`.

    Returns:
        What ``encode`` gives, in the order of the texts.

    Raises:
        InputError: the inputs are no list of texts, or one has no tokens.
    """
    texts = check_texts(inputs)
    unique = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    rows, cut = tokenize(tokenizer, list(unique), limit) if texts else ([], set())
    warn_truncated(sum(unique[text] in cut for text in texts), len(texts), limit, stacklevel + 1)
    batches = list(length_batches(rows, batch_size)) or [[]]
    with torch.no_grad():
        encoded = [encode([rows[row] for row in batch]) for batch in batches]
    place = {row: position for position, row in enumerate(row for batch in batches for row in batch)}
    return select(concatenate(encoded), [place[unique[text]] for text in texts])


def check_texts(inputs: Any) -> list[str]:
    """The inputs, if they are a list of texts.

    Raises:
        InputError: they are one bare string, or something in the list is no string.
    """
    if isinstance(inputs, str) or not isinstance(inputs, Sequence):
        raise InputError(f"A text encoder takes a list of texts, not {type(inputs).__name__}; write [text].")
    for position, text in enumerate(inputs, start=1):
        if not isinstance(text, str):
            raise InputError(f"Text {position} is no string but {type(text).__name__}.")
    return list(inputs)


def tokenize(tokenizer: Any, texts: Sequence[str], limit: int) -> tuple[list[list[int]], set[int]]:
    """Token ids of each text, special tokens included, and the rows that had to be cut to ``limit`` tokens.

    Raises:
        InputError: a text has no tokens at all (an empty one, with a tokenizer that adds none).
    """
    rows = _ids(tokenizer, texts)
    cut = {row for row, ids in enumerate(rows) if len(ids) > limit}
    if cut:
        # The tokenizer cuts, not a slice: special tokens at the end have to stay.
        shorter = _ids(tokenizer, [texts[row] for row in sorted(cut)], truncation=True, max_length=limit)
        for row, ids in zip(sorted(cut), shorter, strict=True):
            rows[row] = ids
    for row, ids in enumerate(rows):
        if not ids:
            raise InputError(f"The text {texts[row]!r} has no tokens; leave it out.")
    return rows, cut


def warn_truncated(count: int, total: int, limit: int, stacklevel: int) -> None:
    """Say how many texts were cut, if any were."""
    if count:
        message = f"{count} of {total} texts are longer than {limit} tokens; only their beginnings are encoded."
        warnings.warn(message, TruncationWarning, stacklevel=stacklevel + 1)


def length_batches(rows: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Row numbers in batches of rows of similar length, the shortest first."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def pad(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids padded to the longest row, int64 ``[B, T]``, and the mask, bool ``[B, T]``, true where there is a token."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return ids.to(device), mask.to(device)


def _ids(tokenizer: Any, texts: Sequence[str], **options: Any) -> list[list[int]]:
    # verbose=False: the tokenizer's own remark on long texts would come before they are cut.
    encoded = tokenizer(
        list(texts), return_attention_mask=False, return_token_type_ids=False, verbose=False, padding=False, **options
    )
    return list(encoded["input_ids"])
