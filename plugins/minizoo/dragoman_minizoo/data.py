"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT licence), read from the files as published."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dragoman.errors import InputError

__all__ = ["LABELS", "VALIDATION", "Labelled", "fashion_mnist"]

#: Class names by label.
LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
#: How many of the published training images are kept back for stopping and choosing.
VALIDATION = 5000
_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"), Path("data/fashion-mnist"))
_FILES = {"train": "train", "validation": "train", "test": "t10k"}


class Labelled(NamedTuple):
    """Images with labels.

    Attributes:
        images: uint8 ``[N, 1, 32, 32]``: the published 28 x 28 pixels inside a margin of zeros.
        labels: int64 ``[N]``.
    """

    images: Tensor
    labels: Tensor


def fashion_mnist(split: str, folder: Path | None = None) -> Labelled:
    """One split: ``"train"`` (55,000), ``"validation"`` (the last 5,000 of the published training set), ``"test"``.

    Args:
        split: which images.
        folder: where the four ``.gz`` files lie; by default where Debian's ``dataset-fashion-mnist`` puts them,
            or ``FASHION_MNIST``.

    Raises:
        InputError: the files are not there.
    """
    name = _FILES[split]
    source = folder or _find()
    images = _read(source / f"{name}-images-idx3-ubyte.gz", header=16).view(-1, 1, 28, 28)
    labels = _read(source / f"{name}-labels-idx1-ubyte.gz", header=8).long()
    rows = {"train": slice(0, -VALIDATION), "validation": slice(-VALIDATION, None), "test": slice(None)}[split]
    return Labelled(F.pad(images[rows], (2, 2, 2, 2)), labels[rows])


def _find() -> Path:
    candidates = [Path(os.environ["FASHION_MNIST"])] if "FASHION_MNIST" in os.environ else list(_FOLDERS)
    for folder in candidates:
        if (folder / "train-images-idx3-ubyte.gz").is_file():
            return folder
    raise InputError(
        f"Fashion-MNIST is not in {' or '.join(map(str, candidates))}; install Debian's dataset-fashion-mnist, "
        "or set FASHION_MNIST to the folder with its four .gz files."
    )


def _read(path: Path, header: int) -> Tensor:
    with gzip.open(path) as file:
        return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)
