"""A codec at one quality: a plain network, and its symbols in a bitstream."""

from __future__ import annotations

import binascii
import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dragoman.errors import InputError
from dragoman.pixels import LUMA
from dragoman_codec.coding import ANOTHER, MOST_REACH, Decoder, Encoder, reach_of
from dragoman_codec.gaussian import LARGEST_LEVEL
from dragoman_codec.hyperprior import Hyperprior
from dragoman_codec.pictures import LARGEST_SIDE, MOST_PIXELS
from dragoman_codec.stream import FRAME, Header, framed

__all__ = ["FixedCodec"]

_LARGEST_SYMBOL = 2 ** (MOST_REACH - 1) - 1
#: Values of the check of codec and scales.
_CHECKS = 4096


class Symbols(NamedTuple):
    """What is coded.

    Attributes:
        side: int32 ``[N, h, w]``, less the medians.
        latents: int32 ``[M, 4 h, 4 w]``, less the means.
        means: of the latents.
        levels: of their scales.
    """

    side: Tensor
    latents: Tensor
    means: Tensor
    levels: Tensor


class FixedCodec:
    """Codes with a plain network.

    The decoder has to arrive at the same scales as the encoder, to the last bit, or everything after the first
    difference is noise. The synthesis of the side information is therefore computed in float64 on the processor,
    batch by batch of one, and rounded to a grid; a check sum finds the machine on which that is not enough.

    Args:
        network: the network, frozen.
        position: of the knob, for the header.
        model: fingerprint of the codec, for the check.
    """

    def __init__(self, network: Hyperprior, position: int, model: int) -> None:
        self.network, self.position, self.model = network, position, model
        self.exact = copy.deepcopy(network).cpu().double()
        self.tables = network.entropy_bottleneck.tables()

    @torch.no_grad()
    def compress(self, image: Tensor) -> bytes:
        """A picture, uint8 ``[1 or 3, H, W]``, to a bitstream.

        Raises:
            InputError: it is none, or too large.
        """
        symbols = self._analyse(_padded(_checked(image)))
        header, encoder = self._header(image, symbols), Encoder()
        header.write(encoder)
        encoder.side(symbols.side, self.tables)
        encoder.number(self._check_of(symbols.levels), _CHECKS)
        encoder.latents(symbols.latents, symbols.levels, header.reach)
        return framed(encoder.message())

    @torch.no_grad()
    def decompress(self, header: Header, decoder: Decoder) -> Tensor:
        """What follows the header of a message to the picture.

        Raises:
            InputError: it was made by another codec, or on a machine that computes otherwise.
        """
        height, width = (-(-side // self.network.stride) for side in (header.height, header.width))
        side = decoder.side(self.tables, (self.network.S, height, width))
        means, levels = self._prior(side)
        if self._check_of(levels) != decoder.number(_CHECKS):
            raise InputError(ANOTHER)
        latents = decoder.latents(levels, header.reach)
        picture = self._synthesise(latents, means)[:, : header.height, : header.width]
        return _grey(picture) if header.grey else picture

    @torch.no_grad()
    def reconstruct(self, image: Tensor) -> Tensor:
        """What a decoder will make of a picture, without coding it."""
        symbols = self._analyse(_padded(_checked(image)))
        picture = self._synthesise(symbols.latents, symbols.means)[:, : image.shape[1], : image.shape[2]]
        return _grey(picture) if len(image) == 1 else picture

    @torch.no_grad()
    def symbols_alone(self, image: Tensor) -> bytes:
        """The code of a picture's symbols without header and checks: no stream, but what the estimate is of."""
        symbols, encoder = self._analyse(_padded(_checked(image))), Encoder()
        encoder.side(symbols.side, self.tables)
        encoder.latents(symbols.latents, symbols.levels, reach_of(symbols.latents))
        return encoder.message()

    def estimated_bits(self, image: Tensor) -> float:
        """The rate of a whole stream: the symbols by their likelihoods, and what frame, header and check take."""
        symbols = self._analyse(_padded(_checked(image)))
        return self._likelihood_bits(symbols) + 8 * FRAME + self._header(image, symbols).bits() + math.log2(_CHECKS)

    def symbol_bits(self, image: Tensor) -> float:
        """The rate of the symbols alone by the network's likelihoods, as training and the literature count it."""
        return self._likelihood_bits(self._analyse(_padded(_checked(image))))

    def _header(self, image: Tensor, symbols: Symbols) -> Header:
        height, width = image.shape[1:]
        return Header(self.position, height, width, len(image) == 1, reach_of(symbols.latents))

    @torch.no_grad()
    def _likelihood_bits(self, symbols: Symbols) -> float:
        side = symbols.side.double() + self._medians()
        _, scales = self.exact.prior(side.unsqueeze(0))
        latents = self.exact.gaussian_conditional(symbols.latents.double(), scales[0])
        return float(latents.sum() + self.exact.entropy_bottleneck(side.unsqueeze(0)).sum())

    def latents(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` to rounded latents; gradients do not pass."""
        weight = next(self.network.parameters())
        y = self.network.g_a(_pad(images.to(weight)))
        means, _ = self.network.prior(self.network.entropy_bottleneck.round(self.network.side(y)))
        rounded: Tensor = (y - means).round() + means
        return rounded.float()

    @torch.no_grad()
    def _analyse(self, image: Tensor) -> Symbols:
        y = self.network.g_a(self._on_device(image))
        z = self.network.side(y)[0].double().cpu()
        side = (z - self._medians()).round().int()
        low = torch.tensor([offset for offset, _ in self.tables])
        last = low + torch.tensor([len(row) - 1 for _, row in self.tables])
        side = side.clamp(low.view(-1, 1, 1), last.view(-1, 1, 1)).int()
        means, levels = self._prior(side)
        latents = (y[0].double().cpu() - means).round().clamp(-_LARGEST_SYMBOL, _LARGEST_SYMBOL).int()
        return Symbols(side, latents, means, levels)

    def _prior(self, side: Tensor) -> tuple[Tensor, Tensor]:
        means, scales = self.exact.prior((side.double() + self._medians()).unsqueeze(0))
        return means[0], self.exact.gaussian_conditional.levels(scales[0])

    def _synthesise(self, latents: Tensor, means: Tensor) -> Tensor:
        weight = next(self.network.parameters())
        image: Tensor = self.network.g_s((latents + means).unsqueeze(0).to(weight))[0]
        return (image.float().clamp(0, 1) * 255).round().byte().cpu()

    def _check_of(self, levels: Tensor) -> int:
        """What codec and scales have to agree on."""
        assert LARGEST_LEVEL < 256  # each in one byte
        content = levels.to(torch.uint8).contiguous().numpy().tobytes()
        return binascii.crc32(content, self.model) % _CHECKS

    def _medians(self) -> Tensor:
        return self.exact.entropy_bottleneck.medians.view(-1, 1, 1)

    def _on_device(self, image: Tensor) -> Tensor:
        return (image.unsqueeze(0).float() / 255).to(next(self.network.parameters()))


def _checked(image: Tensor) -> Tensor:
    shape = list(image.shape)
    if image.dtype != torch.uint8 or image.ndim != 3 or shape[0] not in (1, 3) or 0 in shape:
        raise InputError(f"The codec takes bytes [1 or 3, H, W], not {image.dtype} {shape}.")
    if max(shape[1:]) > LARGEST_SIDE or shape[1] * shape[2] > MOST_PIXELS:
        raise InputError(f"The codec takes {MOST_PIXELS} pixels with sides of {LARGEST_SIDE}, not {shape[1:]}.")
    return image.expand(3, -1, -1)


def _padded(image: Tensor) -> Tensor:
    return _pad(image.unsqueeze(0).float())[0]


def _pad(images: Tensor) -> Tensor:
    below, right = (-side % Hyperprior.stride for side in images.shape[2:])
    return functional.pad(images, (0, right, 0, below), mode="replicate")


def _grey(picture: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, dtype=torch.float64).view(3, 1, 1)
    return (picture.double() * weights).sum(dim=0, keepdim=True).round().byte()
