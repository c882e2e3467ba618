"""What a checkpoint of timm wants its images to be, as differentiable operations on images of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor

from dragoman.errors import PackageError
from dragoman.pixels import center_crop, check_images, match_channels, normalize, resize, shortest_edge
from dragoman_timm.library import timm

__all__ = ["Preprocessing"]

INTERPOLATIONS = ("bilinear", "bicubic")
CROPS = ("center", "squash", "border")


@dataclass(frozen=True)
class Preprocessing:
    """Resizing, cropping and normalisation as timm evaluates a checkpoint.

    Args:
        channels: 1 or 3; grey images are repeated for 3, of colour images 1 sees the luma.
        size: side of the square that the network reads, in pixels.
        mean: of each channel, subtracted.
        std: of each channel, divided by.
        interpolation: ``"bilinear"`` or ``"bicubic"``, antialiased.
        crop: share of the scaled image's side that is kept.
        mode: what is scaled to ``size / crop`` before the middle is cut out: the shorter edge (``"center"``), both
            edges (``"squash"``), or the longer edge, with borders of the mean beside the shorter (``"border"``).
    """

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: float
    mode: str

    @classmethod
    def from_config(cls, pretrained_cfg: Mapping[str, Any]) -> Self:
        """Read the entry ``pretrained_cfg`` of a checkpoint's ``config.json``; timm's defaults fill what is missing.

        Raises:
            PackageError: it wants images that are not square, or a filter or crop that is not known.
        """
        known = timm.data.resolve_data_config(pretrained_cfg=dict(pretrained_cfg))
        channels, height, width = known["input_size"]
        if height != width or channels not in (1, 3):
            raise PackageError(f"The checkpoint reads images {list(known['input_size'])}; only squares of 1 or 3 fit.")
        if known["interpolation"] not in INTERPOLATIONS or known["crop_mode"] not in CROPS:
            how = f"{known['interpolation']!r} and {known['crop_mode']!r}"
            raise PackageError(f"The checkpoint resizes and crops by {how}, of which one is not known here.")
        mean, std = (_per_channel(known[name], channels) for name in ("mean", "std"))
        return cls(channels, height, mean, std, known["interpolation"], known["crop_pct"], known["crop_mode"])

    def uncropped(self) -> Preprocessing:
        """The same, but the whole image is scaled to the square: nothing of it is lost."""
        return replace(self, crop=1.0, mode="squash")

    def __call__(self, images: Tensor) -> Tensor:
        """Images float ``[B, 1 or 3, H, W]`` in [0, 1] of any size to what the network reads.

        Raises:
            InputError: they are no images.
        """
        images = match_channels(check_images(images), self.channels)
        height, width = images.shape[2:]
        scaled = resize(images, self._scaled(height, width), self.interpolation)
        # Normalised before it is cut, so that the zeros of a border are the mean.
        return center_crop(normalize(scaled, self.mean, self.std), (self.size, self.size))

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        edge = math.floor(self.size / self.crop)
        if self.mode == "squash":
            return edge, edge
        if self.mode == "center":
            return shortest_edge(height, width, edge)
        longest = max(height, width)
        return round(height * edge / longest), round(width * edge / longest)


def _per_channel(given: Sequence[float], channels: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in given)
    if len(values) == channels:
        return values
    # timm's defaults are for colour images; grey ones then have their average.
    return (sum(values) / len(values),) * channels
