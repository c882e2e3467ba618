"""Symbols to bytes and back by a range coder, constriction's: side information first, since the latents need it."""

from __future__ import annotations

from typing import Any

import constriction  # type: ignore[import-untyped]
import numpy as np
import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman_codec.gaussian import scale_of_level

__all__ = ["decode_latents", "decode_side", "encode_symbols", "range_decoder"]

# The compiled module holds its submodules as attributes only.
model, queue = constriction.stream.model, constriction.stream.queue
_WORD = 4
Tables = list[tuple[int, Tensor]]


def encode_symbols(side: Tensor, tables: Tables, latents: Tensor, levels: Tensor, low: int, high: int) -> bytes:
    """A payload.

    Args:
        side: int32 ``[N, h, w]``, within the tables.
        tables: first symbol and frequencies for each of its channels.
        latents: int32, each in [low, high].
        levels: of their scales, of the same shape.
        low: smallest latent.
        high: largest.
    """
    encoder = queue.RangeEncoder()
    for symbols, (first, frequencies) in zip(side, tables, strict=True):
        if len(frequencies) > 1:  # what is always the same is not written
            encoder.encode(_flat(symbols - first), _categorical(frequencies))
    if low < high:
        scales = scale_of_level(levels).flatten().numpy()
        encoder.encode(_flat(latents), model.QuantizedGaussian(low, high), np.zeros_like(scales), scales)
    return _trimmed(encoder.get_compressed())


def range_decoder(payload: bytes) -> Any:
    """A decoder at the beginning of a payload."""
    padded = payload + bytes(-len(payload) % _WORD)
    return queue.RangeDecoder(np.frombuffer(padded, dtype="<u4").astype(np.uint32))


def decode_side(decoder: Any, tables: Tables, shape: tuple[int, int, int]) -> Tensor:
    """Side information, int32 of the shape.

    Raises:
        InputError: the payload cannot have been written by this coder.
    """
    count = shape[1] * shape[2]
    rows = [first + _decoded_channel(decoder, frequencies, count) for first, frequencies in tables]
    return torch.stack(rows).view(shape)


def decode_latents(decoder: Any, levels: Tensor, low: int, high: int) -> Tensor:
    """Latents, int32 of the shape of their levels.

    Raises:
        InputError: the payload cannot have been written by this coder.
    """
    if low == high:
        return torch.full(levels.shape, low, dtype=torch.int32)
    scales = scale_of_level(levels).flatten().numpy()
    return _decoded(decoder, model.QuantizedGaussian(low, high), np.zeros_like(scales), scales).view(levels.shape)


def _decoded_channel(decoder: Any, frequencies: Tensor, count: int) -> Tensor:
    if len(frequencies) == 1:
        return torch.zeros(count, dtype=torch.int32)
    return _decoded(decoder, _categorical(frequencies), count)


def _decoded(decoder: Any, *arguments: Any) -> Tensor:
    try:
        return torch.from_numpy(np.asarray(decoder.decode(*arguments)).astype(np.int32))
    except Exception as error:  # constriction says with AssertionError that no encoder writes such data
        raise InputError("The stream is damaged: it holds codes that no encoder writes.") from error


def _categorical(frequencies: Tensor) -> Any:
    return model.Categorical(frequencies.double().numpy(), perfect=False)


def _flat(symbols: Tensor) -> Any:
    return symbols.flatten().int().numpy()


def _trimmed(words: Any) -> bytes:
    """Little-endian words without the zeros at the end, which the decoder adds again."""
    return bytes(words.astype("<u4").tobytes().rstrip(b"\0"))
