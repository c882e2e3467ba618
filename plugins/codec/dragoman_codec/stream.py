"""The frame around a message, by which damage is noticed, and the header at the message's beginning."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Self

from dragoman.errors import InputError
from dragoman_codec.coding import MOST_REACH, Decoder, Encoder
from dragoman_codec.knob import POSITIONS
from dragoman_codec.pictures import LARGEST_SIDE, MOST_PIXELS

__all__ = ["FRAME", "Header", "framed", "unframed"]

VERSION = 2
#: Upper half of the first byte; version 1 began with other bytes.
_KIND, _FIRST_KIND = 0xD0, b"DRG"
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
    if stream.startswith(_FIRST_KIND):
        raise InputError("The stream is of version 1, which is read no more; encode the picture again.")
    if not stream or stream[0] & 0xF0 != _KIND or stream[0] & 0x0F < VERSION:
        raise InputError("This is no compressed image of dragoman: it does not begin like one.")
    if stream[0] & 0x0F > VERSION:
        raise InputError(f"The stream is of version {stream[0] & 0x0F}; upgrade dragoman-codec to read it.")
    if len(stream) < FRAME:
        raise InputError("The stream is truncated: it ends within its frame.")
    message = stream[FRAME:]
    if binascii.crc_hqx(message, stream[0]) != int.from_bytes(stream[1:FRAME], "big"):
        raise InputError("The stream is damaged or truncated: its check sum is wrong.")
    return message


@dataclass(frozen=True)
class Header:
    """What a decoder has to know before it decodes; about 4 bytes of a message.

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

    def write(self, encoder: Encoder) -> None:
        """Begin a message with it."""
        encoder.number(self.position, POSITIONS)
        for side in (self.height, self.width):
            _write_side(encoder, side)
        encoder.number(int(self.grey), 2)
        encoder.number(self.reach, MOST_REACH + 1)

    @classmethod
    def read(cls, decoder: Decoder) -> Self:
        """The beginning of a message.

        Raises:
            InputError: it is forged: a picture of such a size would exhaust the memory.
        """
        position, height, width = decoder.number(POSITIONS), _read_side(decoder), _read_side(decoder)
        if height * width > MOST_PIXELS:
            raise InputError("The stream is damaged: its header holds sizes that cannot be.")
        return cls(position, height, width, bool(decoder.number(2)), decoder.number(MOST_REACH + 1))


def _write_side(encoder: Encoder, side: int) -> None:
    """How many bits the side less 1 has, then those after the first."""
    rest = side - 1
    bits = rest.bit_length()
    encoder.number(bits, _MOST_BITS + 1)
    encoder.number(rest - _first_of(bits), 1 << max(bits - 1, 0))


def _read_side(decoder: Decoder) -> int:
    bits = decoder.number(_MOST_BITS + 1)
    return 1 + _first_of(bits) + decoder.number(1 << max(bits - 1, 0))


def _first_of(bits: int) -> int:
    """The least number of so many bits."""
    return 1 << bits - 1 if bits else 0
