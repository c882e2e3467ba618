"""A user's own pairs: a folder with ``metadata.csv`` and the target's representations in ``latents.safetensors``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.ports import check_fit
from dragoman.progress import progress
from dragoman.representation import Representation, Tokens, concatenate, select
from dragoman.training.method import Batch

__all__ = ["FilePairs"]

TABLE, LATENTS = "metadata.csv", "latents.safetensors"
#: Captions that are encoded at once.
ENCODED = 1024


class FilePairs:
    """Pairs read from a folder in the Hub's ``imagefolder`` convention, plus one tensor of targets.

    ``metadata.csv`` has a column ``text`` (captions) or ``file_name`` (images beside it); its rows correspond to the
    rows of the tensor ``latents`` ``[N, ...]`` in ``latents.safetensors``. The source expert encodes each input once.

    Args:
        folder: where the files lie.
        source: the endpoint that encodes captions or images.
        target: the endpoint whose representations the latents are.

    Attributes:
        declined: nothing: what a user brings has its text.

    Raises:
        InputError: a file or column is missing, a text is empty, a latent is not finite, or the numbers of rows differ.
        PortError: the latents have another shape than the target's port.
    """

    def __init__(self, folder: Path, source: Endpoint, target: Endpoint) -> None:
        rows = _read_table(folder / TABLE)
        self.target = _read_latents(folder / LATENTS, target)
        if len(rows) != len(self.target):
            raise InputError(f"{folder}: {TABLE} has {len(rows)} rows, but {LATENTS} has {len(self.target)}.")
        self.declined = self.target[:0]
        self.captions = [(row.get("text") or "").strip() for row in rows]
        self.conditions = self._encode(folder, rows, source)

    def __len__(self) -> int:
        return len(self.target)

    def at(self, index: Tensor) -> Batch:
        """The pairs at the given positions."""
        rows = index.tolist()
        return {
            "target": self.target[index],
            "condition": select(self.conditions, rows),
            "caption": [self.captions[row] for row in rows],
        }

    def _encode(self, folder: Path, rows: list[dict[str, str]], source: Endpoint) -> Representation:
        if "text" not in rows[0]:
            return _encode_parts((_read_image(folder, row) for row in rows), len(rows), 1, source)
        if not all(self.captions):
            raise InputError(f"{folder / TABLE}: row {self.captions.index('') + 1} has an empty text.")
        parts = (self.captions[start : start + ENCODED] for start in range(0, len(rows), ENCODED))
        return _encode_parts(parts, len(rows), ENCODED, source)


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; pairs need a {TABLE} with a column text or file_name.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table in UTF-8: {error}.") from error
    if not rows or not {"text", "file_name"} & set(rows[0]):
        raise InputError(f"{path} needs a header with a column text or file_name, and at least one row.")
    return rows


def _read_latents(path: Path, target: Endpoint) -> Tensor:
    try:
        latents = load_file(path)["latents"].float()
    except KeyError as error:
        raise InputError(f"{path} has no tensor named latents.") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} must be a safetensors file with a tensor named latents: {error}.") from error
    check_fit(replace(target.port, name="latents", shape=tuple(latents.shape[1:])), str(path), target.port, target.name)
    finite = latents.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        raise InputError(f"{path}: row {int((~finite).nonzero()[0]) + 1} of the latents is NaN or infinite.")
    return latents


def _encode_parts(parts: Iterable[Any], count: int, size: int, source: Endpoint) -> Representation:
    encoded: list[Representation] = []
    with progress("encoding pairs", count) as shown, torch.no_grad():
        for number, part in enumerate(parts, start=1):
            encoded.append(_on_cpu(source.encode(part)))
            shown.update(min(count, number * size))
    return concatenate(encoded)


def _on_cpu(batch: Representation) -> Representation:
    if isinstance(batch, Tokens):
        return Tokens(batch.values.cpu(), batch.mask.cpu())
    return batch.cpu() if isinstance(batch, Tensor) else batch


def _read_image(folder: Path, row: dict[str, str]) -> Tensor:
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = folder / (row["file_name"] or "")
    try:
        with Image.open(path) as picture:
            pixels = ImageOps.exif_transpose(picture).convert("RGB")
            data = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is no readable image: {error}.") from error
    return data.view(1, pixels.height, pixels.width, 3).permute(0, 3, 1, 2).float() / 255
