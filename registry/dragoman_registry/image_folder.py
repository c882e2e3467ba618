"""Images in a folder, as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.errors import InputError

__all__ = ["ImageFolder", "image_paths", "read_image", "read_images"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class ImageFolder(NamedTuple):
    """The images of a folder.

    Attributes:
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``: the position of an image's subfolder among all of them; zeros without subfolders.
        classes: names of the subfolders, in that order.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def image_paths(folder: Path) -> list[Path]:
    """The images in a folder and its subfolders, in the order of their names.

    Raises:
        InputError: there is no such folder, or it holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of images.")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    if not found:
        raise InputError(f"{folder} holds no images ({', '.join(_SUFFIXES)}).")
    return found


def read_images(
    folder: Path, *, size: int | None = None, channels: int | None = None, limit: int | None = None
) -> ImageFolder:
    """Read the images of a folder.

    Args:
        folder: with the images, or one subfolder for each class.
        size: height and width, to which the middle square of each image is scaled; as they are when omitted.
        channels: 1 or 3; 3 if any image has colour when omitted.
        limit: read at most so many, evenly spread over all.

    Raises:
        InputError: there are none, one cannot be read, or they differ in size and none was given.
    """
    paths = image_paths(folder)
    if limit is not None and limit < len(paths):
        paths = [paths[index * len(paths) // limit] for index in range(limit)]
    if channels is None:
        channels = max(_channels_of(path) for path in paths)
    images = [read_image(path, size, channels) for path in paths]
    sizes = {tuple(image.shape[1:]) for image in images}
    if len(sizes) > 1:
        raise InputError(f"The images in {folder} have {len(sizes)} different sizes; scale them to one.")
    names = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in paths]
    classes = tuple(sorted(set(names) - {""}))
    labels = [classes.index(name) if name else 0 for name in names]
    return ImageFolder(torch.stack(images), torch.tensor(labels), classes)


def read_image(path: Path, size: int | None, channels: int) -> Tensor:
    """One image, uint8 ``[channels, H, W]``, turned as its camera says.

    Raises:
        InputError: it cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            pixels = ImageOps.exif_transpose(picture).convert("RGB" if channels == 3 else "L")
            if size is not None and pixels.size != (size, size):
                pixels = ImageOps.fit(pixels, (size, size), Image.Resampling.LANCZOS)
            data = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no readable image: {error}.") from error
    return data.view(pixels.height, pixels.width, channels).permute(2, 0, 1).contiguous()


def _channels_of(path: Path) -> int:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return 1 if picture.mode in ("1", "L", "I", "I;16", "F", "LA") else 3
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is no readable image: {error}.") from error
