"""Rate and distortion of codecs on pictures, from real streams."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dragoman.images import to_pil
from dragoman.operators import mend_torchvision

__all__ = ["Point", "curve_of", "of_pillow", "psnr"]

#: A picture, uint8 [3, H, W], to the bytes of its stream and what a decoder makes of them.
Coder = Callable[[Tensor], tuple[bytes, Tensor]]


@dataclass(frozen=True)
class Point:
    """One point of a rate-distortion curve, averaged over pictures.

    Attributes:
        setting: of the codec.
        bpp: bits per pixel, of the whole stream with its header.
        psnr: in dB, over the bytes of RGB.
        ms_ssim: multi-scale structural similarity, or NaN where torchmetrics is not installed.
    """

    setting: float
    bpp: float
    psnr: float
    ms_ssim: float


def curve_of(coders: dict[float, Coder], pictures: Sequence[Tensor]) -> list[Point]:
    """A point for each coder, by its setting."""
    return [_point(setting, coder, pictures) for setting, coder in coders.items()]


def of_pillow(kind: str, quality: int) -> Coder:
    """JPEG or WebP as Pillow writes them.

    Args:
        kind: ``"JPEG"`` or ``"WEBP"``.
        quality: 0 to 100.
    """

    def coder(picture: Tensor) -> tuple[bytes, Tensor]:
        file = io.BytesIO()
        options = {"optimize": True} if kind == "JPEG" else {"method": 6}
        to_pil(picture.float() / 255).save(file, kind, quality=quality, **options)
        decoded = np.array(Image.open(file).convert("RGB"))
        return file.getvalue(), torch.from_numpy(decoded).permute(2, 0, 1)

    return coder


def psnr(one: Tensor, other: Tensor) -> float:
    """Peak signal-to-noise ratio of bytes, in dB."""
    error = float((one.double() - other.double()).square().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _point(setting: float, coder: Coder, pictures: Sequence[Tensor]) -> Point:
    rates, ratios, similarities = [], [], []
    for picture in pictures:
        stream, decoded = coder(picture)
        rates.append(8 * len(stream) / picture[0].numel())
        ratios.append(psnr(picture, decoded))
        similarities.append(_ms_ssim(picture, decoded))
    count = len(pictures)
    return Point(setting, sum(rates) / count, sum(ratios) / count, sum(similarities) / count)


def _ms_ssim(one: Tensor, other: Tensor) -> float:
    mend_torchvision()  # torchmetrics imports torchvision where it is installed
    try:
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as measure
    except ImportError:
        return math.nan
    tested, target = (each.unsqueeze(0).float() for each in (other, one))
    return float(torch.as_tensor(measure(tested, target, data_range=255.0)))
