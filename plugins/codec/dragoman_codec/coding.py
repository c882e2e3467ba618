"""Symbols to bytes and back by a range coder, constriction's. Everything in a stream is one message of it."""

from __future__ import annotations

from typing import Any

import constriction  # type: ignore[import-untyped]
import numpy as np
import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman_codec.gaussian import scale_of_level

__all__ = ["ANOTHER", "MOST_REACH", "Decoder", "Encoder", "Tables", "reach_of"]

# The compiled module holds its submodules as attributes only.
model, queue = constriction.stream.model, constriction.stream.queue
_WORD, _STATE = 4, 8
#: Big-endian: what zeros at the end of the bytes stand for is least significant then, and need not be written.
_WORDS = ">u4"
#: First symbol and integer frequencies of each channel.
Tables = list[tuple[int, Tensor]]
#: Most bits of a latent, sign included.
MOST_REACH = 16
#: A stream whose check sum is right, but whose symbols are not, was written with other tables or scales.
ANOTHER = (
    "The stream was made by another codec than this one, or on a machine that computes other scales; name the codec "
    "that made it with --model."
)


def reach_of(latents: Tensor) -> int:
    """How many bits the largest latent takes as a two's complement, 0 to 16; 0 if all are 0."""
    low, high = int(latents.min()), int(latents.max())
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1 if low or high else 0


class Encoder:
    """A message that grows by what is encoded."""

    def __init__(self) -> None:
        self._coder = queue.RangeEncoder()

    def number(self, value: int, count: int) -> None:
        """One of ``count`` equally likely numbers, from 0."""
        if count > 1:
            self._coder.encode(value, model.Uniform(count))

    def side(self, symbols: Tensor, tables: Tables) -> None:
        """Side information, int32 ``[S, h, w]``, within its tables."""
        for row, (first, frequencies) in zip(symbols, tables, strict=True):
            if len(frequencies) > 1:  # what is always the same is not written
                self._coder.encode(_flat(row - first), _categorical(frequencies))

    def latents(self, symbols: Tensor, levels: Tensor, reach: int) -> None:
        """Latents, int32, and the levels of their scales, of the same shape.

        Args:
            symbols: each of at most ``reach`` bits.
            levels: of :meth:`dragoman_codec.gaussian.GaussianConditional.levels`.
            reach: of :func:`reach_of`.
        """
        if reach:
            scales = scale_of_level(levels).flatten().numpy()
            self._coder.encode(_flat(symbols), _gaussian(reach), np.zeros_like(scales), scales)

    def message(self) -> bytes:
        """The fewest bytes that decode to what was encoded.

        The coder's own end takes one or two words of four bytes. All numbers in the interval at which it has arrived
        decode alike, however they go on; this is the one with the most zeros at its end, without them.
        """
        words = self._coder.get_compressed()
        position, (low, size) = self._coder.pos()
        length = _WORD * position + _STATE
        point = int.from_bytes(words.astype(_WORDS).tobytes().ljust(length, b"\0"), "big")
        first = point - (point - low) % 2 ** (8 * _STATE)  # the interval's lower end; the state holds its last bits
        zeros = 0
        while zeros < length and _rounded_up(first, zeros + 1) < first + size:
            zeros += 1
        return _rounded_up(first, zeros).to_bytes(length, "big").rstrip(b"\0")


class Decoder:
    """Reads a message in the order in which it was encoded.

    Every method raises :class:`~dragoman.errors.InputError` where the message cannot have been written with these
    tables.
    """

    def __init__(self, message: bytes) -> None:
        padded = message + bytes(-len(message) % _WORD)
        self._coder = queue.RangeDecoder(np.frombuffer(padded, dtype=_WORDS).astype(np.uint32))

    def number(self, count: int) -> int:
        """One of ``count`` equally likely numbers, from 0."""
        return int(self._decoded(model.Uniform(count))) if count > 1 else 0

    def side(self, tables: Tables, shape: tuple[int, int, int]) -> Tensor:
        """Side information, int32 of the shape."""
        rows = [first + self._channel(frequencies, shape[1] * shape[2]) for first, frequencies in tables]
        return torch.stack(rows).view(shape)

    def latents(self, levels: Tensor, reach: int) -> Tensor:
        """Latents, int32 of the shape of their levels."""
        if not reach:
            return torch.zeros(levels.shape, dtype=torch.int32)
        scales = scale_of_level(levels).flatten().numpy()
        return _tensor(self._decoded(_gaussian(reach), np.zeros_like(scales), scales)).view(levels.shape)

    def _channel(self, frequencies: Tensor, count: int) -> Tensor:
        if len(frequencies) == 1:
            return torch.zeros(count, dtype=torch.int32)
        return _tensor(self._decoded(_categorical(frequencies), count))

    def _decoded(self, *arguments: Any) -> Any:
        try:
            return self._coder.decode(*arguments)
        except Exception as error:  # constriction says with AssertionError that no encoder writes such data
            raise InputError(ANOTHER) from error


def _rounded_up(value: int, zeros: int) -> int:
    """The least number from ``value`` on that ends with so many bytes of zeros."""
    return -(-value >> 8 * zeros) << 8 * zeros


def _gaussian(reach: int) -> Any:
    return model.QuantizedGaussian(-(2 ** (reach - 1)), 2 ** (reach - 1) - 1)


def _categorical(frequencies: Tensor) -> Any:
    return model.Categorical(frequencies.double().numpy(), perfect=False)


def _flat(symbols: Tensor) -> Any:
    return symbols.flatten().int().numpy()


def _tensor(symbols: Any) -> Tensor:
    return torch.from_numpy(np.asarray(symbols).astype(np.int32))
