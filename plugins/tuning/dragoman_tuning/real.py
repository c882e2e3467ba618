"""Real images of the classes, from a folder with one subfolder for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.pixels import center_crop, match_channels, resize, shortest_edge

__all__ = ["Real", "read_real"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
_LEAST = 4


class Real(NamedTuple):
    """Real images of one class, float ``[N, C, H, W]`` in [0, 1].

    Attributes:
        tuning: those that the objective may look at.
        evaluation: others, to compare the result with.
    """

    tuning: Tensor
    evaluation: Tensor


def read_real(folder: Path, names: Sequence[str], shape: tuple[int, int, int]) -> list[Real]:
    """Read ``FOLDER/NAME/*``, scaled and cropped to the generator's size; every second image is kept for evaluation.

    Args:
        folder: holds a folder for each class.
        names: of the classes.
        shape: channels, height and width of the generator's images.

    Raises:
        InputError: a class has no folder or fewer than four images, or one cannot be read.
    """
    return [_split(folder / name, shape) for name in names]


def _split(folder: Path, shape: tuple[int, int, int]) -> Real:
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if len(paths) < _LEAST:
        raise InputError(f"{folder} holds {len(paths)} images; a class needs at least {_LEAST}.")
    images = torch.cat([_read(path, shape) for path in paths])
    return Real(images[::2], images[1::2])


def _read(path: Path, shape: tuple[int, int, int]) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            pixels = picture.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is no readable image: {error}.") from error
    data = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    image = data.view(1, pixels.height, pixels.width, 3).permute(0, 3, 1, 2).float() / 255
    channels, height, width = shape
    scaled = resize(image, shortest_edge(pixels.height, pixels.width, max(height, width)), "bicubic")
    return match_channels(center_crop(scaled, (height, width)), channels)
