"""A user's own pairs: a folder with ``metadata.csv`` and the target's representations in ``latents.safetensors``."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError, PortError
from dragoman.representation import Representation, concatenate, select
from dragoman.training.method import Batch

__all__ = ["FilePairs"]


class FilePairs:
    """Pairs read from a folder in the Hub's ``imagefolder`` convention, plus one tensor of targets.

    ``metadata.csv`` has a column ``text`` (captions) or ``file_name`` (images beside it); its rows correspond to the
    rows of the tensor ``latents`` ``[N, ...]`` in ``latents.safetensors``. The source expert encodes each input once.

    Args:
        folder: where the files lie.
        source: the endpoint that encodes captions or images.
        target: the endpoint whose representations the latents are.

    Raises:
        InputError: a file or column is missing, or the numbers of rows differ.
        PortError: the latents have another shape than the target's port.
    """

    def __init__(self, folder: Path, source: Endpoint, target: Endpoint) -> None:
        rows = _read_table(folder / "metadata.csv")
        self.target = _read_latents(folder / "latents.safetensors", target)
        if len(rows) != len(self.target):
            raise InputError(
                f"{folder}: metadata.csv has {len(rows)} rows, but latents.safetensors has {len(self.target)}."
            )
        self.captions = [row.get("text") or "" for row in rows]
        self.conditions = _encode(folder, rows, source)

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Pairs drawn with replacement."""
        return self.at(torch.randint(len(self), (size,), generator=generator))

    def at(self, index: Tensor) -> Batch:
        """The pairs at the given positions."""
        rows = index.tolist()
        return {
            "target": self.target[index],
            "condition": select(self.conditions, rows),
            "caption": [self.captions[row] for row in rows],
        }


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; pairs need a metadata.csv with a column text or file_name.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"text", "file_name"} & set(rows[0]):
        raise InputError(f"{path} needs a header with a column text or file_name, and at least one row.")
    return rows


def _read_latents(path: Path, target: Endpoint) -> Tensor:
    try:
        latents = load_file(path)["latents"].float()
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} must be a safetensors file with a tensor named latents: {error}.") from error
    shape = tuple(latents.shape[1:])
    if shape != target.port.shape:
        raise PortError(f"{path} holds latents {list(shape)}, but {target.name} takes {target.port}.")
    return latents


def _encode(folder: Path, rows: list[dict[str, str]], source: Endpoint) -> Representation:
    if "text" in rows[0]:
        texts = [row["text"].strip() for row in rows]
        if not all(texts):
            raise InputError(f"{folder / 'metadata.csv'}: row {texts.index('') + 2} has an empty text.")
        return source.expert.encode(texts, source.port.name)
    images = [_read_image(folder / row["file_name"]) for row in rows]
    return concatenate([source.expert.encode(image, source.port.name) for image in images])


def _read_image(path: Path) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            pixels = picture.convert("RGB")
            data = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is no readable image: {error}.") from error
    return data.view(1, pixels.height, pixels.width, 3).permute(0, 3, 1, 2).float() / 255
