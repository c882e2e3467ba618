"""The bitstream's header, and the check that nothing of it was lost or changed on the way."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from typing import Self

from dragoman.errors import InputError
from dragoman_codec.pictures import LARGEST_SIDE, MOST_PIXELS

__all__ = ["Header"]

MAGIC = b"DRG"
VERSION = 1
_GREY = 0x80
#: Magic, version and colour, check sum, model, knob, height, width, check of the scales, range of the symbols.
_LAYOUT = struct.Struct("<3sBIHHHHHhh")
_CHECKED_FROM = struct.calcsize("<3sBI")


@dataclass(frozen=True)
class Header:
    """What a decoder has to know before it decodes; 22 bytes.

    Args:
        model: fingerprint of the codec.
        position: of the knob.
        height: of the picture.
        width: of the picture.
        grey: whether it has one channel.
        scales: check sum of the scales, which encoder and decoder have to compute alike.
        low: smallest symbol of the latents.
        high: largest.
    """

    model: int
    position: int
    height: int
    width: int
    grey: bool
    scales: int
    low: int
    high: int

    def write(self, payload: bytes) -> bytes:
        """Header and payload."""
        first = VERSION | (_GREY if self.grey else 0)
        fields = (self.model, self.position, self.height, self.width, self.scales, self.low, self.high)
        unchecked = _LAYOUT.pack(MAGIC, first, 0, *fields)
        total = binascii.crc32(unchecked[_CHECKED_FROM:] + payload, first)
        return _LAYOUT.pack(MAGIC, first, total, *fields) + payload

    @classmethod
    def read(cls, stream: bytes) -> tuple[Self, bytes]:
        """Header and payload, once they are known to be what was written.

        Raises:
            InputError: they are not, or the stream is of a newer version, or no such stream at all.
        """
        if stream[:3] != MAGIC:
            raise InputError("This is no compressed image of dragoman: it does not begin with DRG.")
        if len(stream) < _LAYOUT.size:
            raise InputError("The stream is truncated: it ends within its header.")
        _, first, total, *fields = _LAYOUT.unpack_from(stream)
        if first & ~_GREY != VERSION:
            raise InputError(f"The stream is of version {first & ~_GREY}; upgrade dragoman-codec to read it.")
        if binascii.crc32(stream[_CHECKED_FROM:], first) != total:
            raise InputError("The stream is damaged or truncated: its check sum is wrong.")
        model, position, height, width, scales, low, high = fields
        header = cls(model, position, height, width, bool(first & _GREY), scales, low, high)
        header._check()
        return header, stream[_LAYOUT.size :]

    def _check(self) -> None:
        """A check sum can be forged; what follows must not exhaust the memory then."""
        size = 1 <= min(self.height, self.width) <= max(self.height, self.width) <= LARGEST_SIDE
        if not size or self.height * self.width > MOST_PIXELS or self.low > self.high:
            raise InputError("The stream is damaged: its header holds sizes that cannot be.")
