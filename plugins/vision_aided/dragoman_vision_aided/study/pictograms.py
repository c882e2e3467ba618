"""Pictograms of things that are no garments, in the font Noto Emoji, to pretrain a critic on: 32 x 32 and grey."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dragoman.errors import InputError

__all__ = ["CLASSES", "draw_pictogram"]

SIDE = 32
CLASSES = 256
_BLOCKS = (range(0x1F300, 0x1F650), range(0x1F680, 0x1F700), range(0x1F900, 0x1FA00), range(0x1FA78, 0x1FB00))
#: Garments, shoes and bags: what the images that critics will judge show.
_GARMENTS = {
    *range(0x1F451, 0x1F463),
    *(0x1F392, 0x1F393, 0x1F3BD, 0x1F4BC, 0x1F6CD, 0x1F97B, 0x1F97C, 0x1F97E, 0x1F97F, 0x1F9BA),
    *range(0x1F9E2, 0x1F9E7),
    *(0x1FA70, 0x1FA71, 0x1FA72, 0x1FA73, 0x1FA74, 0x1F9B0, 0x1FAAD, 0x1FAAE, 0x1FAAF),
}


def draw_pictogram(label: int, generator: torch.Generator) -> Tensor:
    """One pictogram, uint8 ``[32, 32]``, its outline, filling and ground in greys of their own.

    Args:
        label: in ``range(CLASSES)``.
        generator: source of randomness.
    """
    size, x, y, turn, ground, ink, filling, shade = torch.rand(8, generator=generator).tolist()
    font = _font(18 + 2 * int(6 * size))
    drawn = Image.new("L", (SIDE + 2, SIDE + 2), 0)
    place = (SIDE / 2 + 1 + 6 * x - 3, SIDE / 2 + 1 + 6 * y - 3)
    ImageDraw.Draw(drawn).text(place, _pictograms()[label], fill=255, font=font, anchor="mm")
    drawn = drawn.rotate(40 * turn - 20, Image.Resampling.BILINEAR)
    lines = _tensor(drawn) / 255
    outside = drawn.point(lambda grey: 255 if grey > 100 else 0)
    ImageDraw.floodfill(outside, (0, 0), 128)
    inside = (_tensor(outside) != 128).float()
    # Half of the grounds are black, as paper cut-outs would have it.
    paper = 0.0 if ground < 0.5 else 2 * ground - 1
    slope = 0.3 * (shade - 0.5) * torch.linspace(-1, 1, SIDE + 2)[:, None]
    made = paper * (1 - inside) + (filling + slope) * inside
    made = made * (1 - lines) + ink * lines
    noise = 0.02 * torch.randn(made.shape, generator=generator)
    shown: Tensor = (made + noise)[1:-1, 1:-1].clamp(0, 1) * 255
    return shown.byte()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    try:
        import manimgx_fonts
    except ModuleNotFoundError as error:
        raise InputError(
            "The study draws pictograms with the font of manimgx-fonts: pip install 'dragoman-vision-aided[study]'."
        ) from error
    return ImageFont.truetype(str(Path(manimgx_fonts.__file__).with_name("NotoEmoji[wght].ttf")), size)


@cache
def _pictograms() -> list[str]:
    """Spread over all that the font has."""
    missing = bytes(_font(24).getmask("\U000f0000"))
    able = [chr(code) for block in _BLOCKS for code in block if code not in _GARMENTS]
    drawn = [sign for sign in able if bytes(_font(24).getmask(sign)) not in (missing, b"")]
    return [drawn[index * len(drawn) // CLASSES] for index in range(CLASSES)]


def _tensor(picture: Image.Image) -> Tensor:
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.height, picture.width).float()
