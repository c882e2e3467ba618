"""Photographs that come with installed packages: some to train on, others that are never trained on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from dragoman.errors import InputError
from dragoman_codec.pictures import read_picture
from dragoman_registry.image_folder import image_paths, read_image

__all__ = ["SEEN", "UNSEEN", "photographs", "pictures_in"]

#: Files of scikit-image and scikit-learn that are trained on.
SEEN = (
    "skimage/data/motorcycle_left.png",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/ihc.png",
    "skimage/data/grass.png",
    "skimage/data/gravel.png",
    "skimage/data/brick.png",
    "skimage/data/moon.png",
    "sklearn/datasets/images/china.jpg",
)
#: Files that are kept for evaluation.
UNSEEN = (
    "skimage/data/astronaut.png",
    "skimage/data/rocket.jpg",
    "skimage/data/coffee.png",
    "skimage/data/chelsea.png",
    "skimage/data/camera.png",
    "sklearn/datasets/images/flower.jpg",
)


def photographs(names: tuple[str, ...]) -> list[Tensor]:
    """The pictures, uint8 ``[3, H, W]`` each; grey ones are repeated.

    Raises:
        InputError: scikit-image or scikit-learn is not installed, or brings a picture no more.
    """
    return [read_picture(_path(name)).expand(3, -1, -1) for name in names]


def pictures_in(folder: Path) -> list[Tensor]:
    """All pictures of a folder and the folders below it, in the order of their paths; uint8 ``[3, H, W]`` each.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    return [read_image(path, None, 3) for path in image_paths(folder)]


def _path(name: str) -> Path:
    package, _, rest = name.partition("/")
    spec = find_spec(package)  # finds the folder without importing the package
    path = Path(spec.origin or "").parent / rest if spec else None
    if path is None or not path.is_file():
        raise InputError(f"The photograph {name} is missing; install scikit-image and scikit-learn.")
    return path
