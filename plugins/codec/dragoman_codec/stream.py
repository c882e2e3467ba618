"""The frame around a message, by which damage is noticed, and the header at the message's beginning."""

from __future__ import annotations

import binascii
import math
from dataclasses import dataclass
from typing import Protocol, Self

from dragoman.errors import InputError
from dragoman_codec.coding import MOST_REACH, Decoder
from dragoman_codec.knob import POSITIONS
from dragoman_codec.pictures import LARGEST_SIDE, MOST_PIXELS

__all__ = ["FRAME", "Header", "framed", "unframed"]

VERSION = 3
#: Upper half of the first byte.
_KIND = 0xD0
#: Bytes before the message: kind and version, and a check sum of everything.
FRAME = 3
#: Bits of the largest side less 1.
_MOST_BITS = (LARGEST_SIDE - 1).bit_length()


def framed(message: bytes) -> bytes:
    """A stream: kind and version in one byte, CRC-16 (CCITT) begun with that byte, and the message."""
    first = _KIND | VERSION
    return bytes([first]) + binascii.crc_hqx(message, first).to_bytes(2, "big") + message


def unframed(stream: bytes) -> bytes:
    """The message of a stream, once it is known to be what was written.

    Raises:
        InputError: it is not, or the stream is of another version, or no such stream at all.
    """
    if not stream or stream[0] & 0xF0 != _KIND:
        raise InputError("This is no compressed image of dragoman: it does not begin like one.")
    version = stream[0] & 0x0F
    if version < VERSION:
        raise InputError(f"The stream is of version {version}, which is read no more; encode the picture again.")
    if version > VERSION:
        raise InputError(f"The stream is of version {version}; upgrade dragoman-codec to read it.")
    if len(stream) < FRAME:
        raise InputError("The stream is truncated: it ends within its frame.")
    message = stream[FRAME:]
    if binascii.crc_hqx(message, stream[0]) != int.from_bytes(stream[1:FRAME], "big"):
        raise InputError("The stream is damaged or truncated: its check sum is wrong.")
    return message


class Numbers(Protocol):
    """What a header is written to."""

    def number(self, value: int, count: int) -> None:
        """One of ``count`` equally likely numbers, from 0."""


class _Count:
    """Only counts."""

    def __init__(self) -> None:
        self.bits = 0.0

    def number(self, value: int, count: int) -> None:
        self.bits += math.log2(count)


@dataclass(frozen=True)
class Header:
    """What a decoder has to know before it decodes; 3 to 5 bytes of a message.

    Args:
        position: of the knob.
        height: of the picture.
        width: of the picture.
        grey: whether it has one channel.
        reach: bits of the largest latent.
    """

    position: int
    height: int
    width: int
    grey: bool
    reach: int

    def write(self, encoder: Numbers) -> None:
        """Begin a message with it."""
        encoder.number(self.position, POSITIONS)
        _write_side(encoder, self.height)
        encoder.number(int(self.width == self.height), 2)
        if self.width != self.height:
            _write_side(encoder, self.width)
        encoder.number(int(self.grey), 2)
        encoder.number(self.reach, MOST_REACH + 1)

    def bits(self) -> float:
        """How many it takes."""
        count = _Count()
        self.write(count)
        return count.bits

    @classmethod
    def read(cls, decoder: Decoder) -> Self:
        """The beginning of a message.

        Raises:
            InputError: it is forged: a picture of such a size would exhaust the memory.
        """
        position, height = decoder.number(POSITIONS), _read_side(decoder)
        width = height if decoder.number(2) else _read_side(decoder)
        if height * width > MOST_PIXELS:
            raise InputError("The stream is damaged: its header holds sizes that cannot be.")
        return cls(position, height, width, bool(decoder.number(2)), decoder.number(MOST_REACH + 1))


def _write_side(encoder: Numbers, side: int) -> None:
    """How many bits the side less 1 has; whether the side is a power of two; if not, the bits after the first."""
    rest = side - 1
    bits = rest.bit_length()
    encoder.number(bits, _MOST_BITS + 1)
    encoder.number(int(side == 1 << bits), 2)
    if side != 1 << bits:
        encoder.number(rest - _first_of(bits), _first_of(bits))


def _read_side(decoder: Decoder) -> int:
    bits = decoder.number(_MOST_BITS + 1)
    return 1 << bits if decoder.number(2) else 1 + _first_of(bits) + decoder.number(_first_of(bits))


def _first_of(bits: int) -> int:
    """The least number of so many bits."""
    return 1 << bits - 1 if bits else 0
