"""The sample grid of a package: what it makes of a few prompts, for the card."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from dragoman.fusion import Fusion
from dragoman.images import grid
from dragoman_registry.atomic import write_file
from dragoman_registry.manifest import SAMPLES
from dragoman_registry.vectors import prompts_of

__all__ = ["write_samples"]

_PROMPTS, _COLUMNS = 4, 4
_LARGEST_SIDE, _READABLE_SIDE = 128, 96
_LONGEST_CAPTION = 200


def write_samples(fusion: Fusion, folder: Path) -> None:
    """Draw four pictures for each of up to four prompts, with seed 0, and write them as one labelled grid.

    A fusion whose outputs are no pictures gets none.

    Raises:
        InputError: the prompts among the facts are none.
        OSError: the file cannot be written.
    """
    prompts = prompts_of(fusion)[:_PROMPTS]
    images = fusion.sample(prompts, _COLUMNS, generator=torch.Generator().manual_seed(0)).cpu()
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        return
    height, width = (min(side, _LARGEST_SIDE) for side in images.shape[-2:])
    images = torch.nn.functional.interpolate(images, size=(height, width), mode="area")
    captions = [prompt[:_LONGEST_CAPTION] for prompt in prompts]
    picture = grid(images, _COLUMNS, scale=max(1, _READABLE_SIDE // width), captions=captions)
    png = io.BytesIO()
    picture.save(png, format="PNG")
    write_file(folder / SAMPLES, png.getvalue())
