"""Pictures in files to bytes in tensors, without loss or one clear sentence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dragoman.errors import InputError

__all__ = ["LARGEST_SIDE", "MOST_PIXELS", "read_picture"]

LARGEST_SIDE, MOST_PIXELS = 16384, 2**26


def read_picture(path: Path) -> Tensor:
    """A picture as uint8 ``[1 or 3, H, W]``, turned as its camera says.

    Raises:
        InputError: the file is missing or no picture, too large, transparent, or of more than 8 bits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(path, image.size)
                image.load()
                return _tensor(path, ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path} cannot be read as a picture: {' '.join(str(error).split())}.") from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    if max(size) > LARGEST_SIDE or size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels; the codec takes {MOST_PIXELS} with sides of {LARGEST_SIDE}."
        )


def _tensor(path: Path, image: Image.Image) -> Tensor:
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{path} has more than 8 bits to the channel; convert it to 8 bits first.")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise InputError(f"{path} is transparent in places, which the codec does not keep; flatten it first.")
    grey = image.mode in ("1", "L", "LA")
    pixels = np.array(image.convert("L" if grey else "RGB"))
    tensor = torch.from_numpy(pixels)
    return tensor.unsqueeze(0) if grey else tensor.permute(2, 0, 1).contiguous()
