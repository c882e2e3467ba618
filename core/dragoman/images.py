"""Pictures: tensors to PIL images, labelled grids, PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dragoman.errors import InputError

__all__ = ["grid", "save_png", "to_pil"]

FONT_SIZE = 14
LINE_HEIGHT = 18
LABELLED_WIDTH = 240
MARGIN = 4


def to_pil(image: Tensor) -> Image.Image:
    """A picture, float ``[C, H, W]`` in [0, 1] with one channel (grey) or three (RGB); values outside are clipped.

    Raises:
        InputError: the tensor has another shape.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise InputError(f"A picture is [1, H, W] or [3, H, W], not {list(image.shape)}.")
    levels = (image.detach().float().cpu().nan_to_num().clamp(0, 1) * 255).round().byte()
    pixels = levels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if image.shape[0] == 1 else pixels)


def grid(images: Tensor, columns: int, *, scale: int = 1, captions: Sequence[str] = ()) -> Image.Image:
    """Pictures side by side, row after row.

    Args:
        images: float ``[N, C, H, W]`` in [0, 1].
        columns: pictures per row.
        scale: enlargement; each pixel becomes a square of this side.
        captions: one text above each row, or none; long ones are broken into lines.

    Raises:
        InputError: there is nothing to show, or not one caption per row.
    """
    if images.ndim != 4 or len(images) == 0 or columns < 1:
        raise InputError(f"A grid needs pictures [N, C, H, W] and columns, not {list(images.shape)} in {columns}.")
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    if captions and len(captions) != len(rows):
        raise InputError(f"{len(captions)} captions were given for {len(rows)} rows.")
    least = LABELLED_WIDTH if captions else 0
    strips = [_strip(row, columns, scale, least) for row in rows]
    if captions:
        strips = [part for text, strip in zip(captions, strips, strict=True) for part in (_label(text, strip), strip)]
    return _stack(strips)


def save_png(image: Image.Image, path: str | Path) -> None:
    """Write a PNG file; whoever looks sees the old file or the whole new one.

    Raises:
        InputError: it cannot be written, as on a full disk; nothing of it is left then.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        image.save(partial, format="PNG")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _strip(row: Tensor, columns: int, scale: int, least: int) -> Image.Image:
    height, width = row.shape[-2] * scale, row.shape[-1] * scale
    strip = Image.new("RGB", (max(columns * (width + MARGIN) + MARGIN, least), height + MARGIN), "white")
    for column, image in enumerate(row):
        picture = to_pil(image).resize((width, height), Image.Resampling.NEAREST)
        strip.paste(picture, (MARGIN + column * (width + MARGIN), 0))
    return strip


def _label(text: str, strip: Image.Image) -> Image.Image:
    font = ImageFont.load_default(FONT_SIZE)
    lines = _wrap(text, strip.width - 2 * MARGIN, font)
    label = Image.new("RGB", (strip.width, LINE_HEIGHT * len(lines) + MARGIN), "white")
    draw = ImageDraw.Draw(label)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN // 2 + number * LINE_HEIGHT), line, fill="black", font=font)
    return label


def _wrap(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """Break a text into lines of at most ``width`` pixels, between words where that is possible."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _stack(strips: Sequence[Image.Image]) -> Image.Image:
    stacked = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips) + MARGIN), "white")
    top = MARGIN
    for strip in strips:
        stacked.paste(strip, (0, top))
        top += strip.height
    return stacked
