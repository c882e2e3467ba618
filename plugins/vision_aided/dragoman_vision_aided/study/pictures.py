"""Samples of several runs, one above the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["stacked"]

_LINE = 20


def stacked(pictures: Mapping[str, Path]) -> Image.Image:
    """The upper half of each picture under its name.

    Args:
        pictures: PNG files of one width, by name; at least one.
    """
    halves = {}
    for name, path in pictures.items():
        with Image.open(path) as picture:
            halves[name] = picture.convert("L").crop((0, 0, picture.width, picture.height // 2))
    width, height = max(half.width for half in halves.values()), sum(half.height + _LINE for half in halves.values())
    sheet = Image.new("L", (width, height), 255)
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), 0
    for name, half in halves.items():
        pen.text((2, top + 2), name, fill=0, font=font)
        sheet.paste(half, (0, top + _LINE))
        top += half.height + _LINE
    return sheet
