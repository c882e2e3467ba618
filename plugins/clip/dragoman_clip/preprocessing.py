"""What a checkpoint of CLIP or SigLIP wants its images to be, as differentiable operations on images of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from dragoman.errors import PackageError
from dragoman.pixels import center_crop, check_images, match_channels, normalize, resize, shortest_edge
from dragoman.weights import read_json

__all__ = ["Preprocessing", "read_preprocessor"]

#: Files that transformers writes the image processor's configuration to, the newer one inside the processor's.
FILES = ("preprocessor_config.json", "processor_config.json")
#: Pillow's numbers of filters.
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
#: What each family's image processor does unless its file says otherwise.
DEFAULTS: dict[str, dict[str, Any]] = {
    "clip": {
        "size": {"shortest_edge": 224},
        "crop_size": 224,
        "do_center_crop": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
    "siglip": {"size": 224, "do_center_crop": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
}


def read_preprocessor(folder: Path, family: str) -> dict[str, Any]:
    """The image processor's configuration in a folder, completed by the defaults of its family.

    Raises:
        PackageError: there is none.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), folder / FILES[0])
    found = read_json(path, "CLIP checkpoint")
    common = {"do_normalize": True, "resample": 3}
    own: dict[str, Any] = found.get("image_processor", found)
    return common | DEFAULTS[family] | own


@dataclass(frozen=True)
class Preprocessing:
    """Resizing, cropping and normalisation as transformers' image processors do it.

    Args:
        channels: 1 or 3; grey images are repeated for 3, of colour images 1 sees the luma.
        scale: what the shorter edge is scaled to, or height and width, in pixels.
        size: height and width of what is then cut out of the middle.
        mean: of each channel, subtracted.
        std: of each channel, divided by.
        interpolation: ``"bilinear"`` or ``"bicubic"``, antialiased.
    """

    channels: int
    scale: int | tuple[int, int]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    @classmethod
    def from_config(cls, config: Mapping[str, Any], channels: int, image: int) -> Self:
        """Read the configuration of an image processor.

        Args:
            config: what :func:`read_preprocessor` gives.
            channels: of the images that the network reads.
            image: side of the square that the network reads, in pixels.

        Raises:
            PackageError: the images would not fit the network, or the configuration is of another kind.
        """
        try:
            scale, size = _sizes(config)
            mean, std = (_per_channel(config[name], channels) for name in ("image_mean", "image_std"))
            filtering = INTERPOLATIONS[int(config["resample"])]
        except (KeyError, TypeError, ValueError) as error:
            raise PackageError(f"The checkpoint's preprocessor_config.json cannot be followed: {error!r}.") from error
        if size != (image, image):
            raise PackageError(f"The checkpoint's image processor gives images {size}, but its network reads {image}.")
        if not config["do_normalize"]:
            mean, std = (0.0,) * channels, (1.0,) * channels
        return cls(channels, scale, size, mean, std, filtering)

    def __call__(self, images: Tensor) -> Tensor:
        """Images float ``[B, 1 or 3, H, W]`` in [0, 1] of any size to what the network reads.

        Raises:
            InputError: they are no images.
        """
        images = match_channels(check_images(images), self.channels)
        height, width = images.shape[2:]
        scaled = shortest_edge(height, width, self.scale) if isinstance(self.scale, int) else self.scale
        cropped = center_crop(resize(images, scaled, self.interpolation), self.size, math.floor)
        return normalize(cropped, self.mean, self.std)


def _sizes(config: Mapping[str, Any]) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """What an image is scaled to, and the size of the result."""
    size = config["size"]
    if not config["do_center_crop"]:
        return _square(size), _square(size)
    if isinstance(size, dict) and "shortest_edge" not in size:
        return _square(size), _square(config["crop_size"])
    return int(size["shortest_edge"] if isinstance(size, dict) else size), _square(config["crop_size"])


def _square(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _per_channel(given: Any, channels: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in given)
    if len(values) == channels:
        return values
    # Statistics of colour images for a network of grey ones: their average.
    return (sum(values) / len(values),) * channels
