"""Images that no camera took, to pretrain critics on: characters, heaps of shapes, waves, pictograms, all 32 x 32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.training.method import Batch
from dragoman_vision_aided.study.pictograms import CLASSES, draw_pictogram

__all__ = ["TASKS", "Procedural", "make"]

SIDE = 32
_CHARACTERS = "ABDEFGHJKLMNPQRSTUXYZ2345678"
_SHAPES = ("disc", "square", "triangle", "line", "ring")
_DIRECTIONS, _WAVELENGTHS = 6, (4.0, 7.0, 12.0)


class Procedural(NamedTuple):
    """Images with labels; a :class:`~dragoman.training.method.BatchSource`.

    Attributes:
        images: uint8 ``[N, 1, 32, 32]``.
        labels: int64 ``[N]``.
        classes: how many.
    """

    images: Tensor
    labels: Tensor
    classes: int

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Float ``[size, 1, 32, 32]`` in [0, 1] and int64 ``[size]``, with replacement."""
        rows = torch.randint(len(self.labels), (size,), generator=generator)
        return {"image": self.images[rows].float() / 255, "label": self.labels[rows]}


def make(task: str, count: int, seed: int) -> Procedural:
    """``count`` images of a task in :data:`TASKS`."""
    classes, draw = TASKS[task]
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.stack([draw(int(label), generator) for label in labels])
    return Procedural(images[:, None], labels, classes)


def _character(label: int, generator: torch.Generator) -> Tensor:
    from PIL import Image, ImageDraw, ImageFont

    size, turn, x, y, paper, ink = _uniform(generator, (16, 28), (-25, 25), (-3, 3), (-3, 3), (0, 255), (80, 175))
    colour = int(paper + ink) % 256
    picture = Image.new("L", (SIDE, SIDE), int(paper))
    font = ImageFont.load_default(size)
    place = (SIDE / 2 + x, SIDE / 2 + y)
    ImageDraw.Draw(picture).text(place, _CHARACTERS[label], fill=colour, font=font, anchor="mm")
    return _tensor(picture.rotate(turn, Image.Resampling.BILINEAR, fillcolor=int(paper)))


def _heap(label: int, generator: torch.Generator) -> Tensor:
    """Shapes of one kind that hide each other, large ones first ("dead leaves")."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (SIDE, SIDE), 128)
    pen = ImageDraw.Draw(picture)
    for step in range(24):
        x, y, grey, turn = _uniform(generator, (0, SIDE), (0, SIDE), (0, 255), (0, 2 * math.pi))
        radius = 12 / (1 + step / 4) + 1.5
        _shape(pen, _SHAPES[label], (x, y, radius, turn), int(grey))
    return _tensor(picture)


def _shape(pen: object, kind: str, where: tuple[float, float, float, float], grey: int) -> None:
    from PIL import ImageDraw

    assert isinstance(pen, ImageDraw.ImageDraw)
    x, y, radius, turn = where
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "disc":
        pen.ellipse(box, fill=grey)
    elif kind == "ring":
        pen.ellipse(box, outline=grey, width=2)
    elif kind == "line":
        dx, dy = 2 * radius * math.cos(turn), 2 * radius * math.sin(turn)
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=grey, width=2)
    else:
        pen.regular_polygon((x, y, radius), 3 if kind == "triangle" else 4, math.degrees(turn), fill=grey)


def _wave(label: int, generator: torch.Generator) -> Tensor:
    direction, wavelength = label % _DIRECTIONS, _WAVELENGTHS[label // _DIRECTIONS]
    jitter, phase, contrast, x, y, width = _uniform(
        generator, (-0.12, 0.12), (0, 2 * math.pi), (30, 120), (8, 24), (8, 24), (5, 14)
    )
    angle = math.pi * direction / _DIRECTIONS + jitter
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = columns * math.cos(angle) + rows * math.sin(angle)
    window = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
    wave = 128 + contrast * window * torch.sin(2 * math.pi * along / wavelength + phase)
    noise = 12 * torch.randn(SIDE, SIDE, generator=generator)
    return (wave + noise).clamp(0, 255).byte()


#: Number of classes, and what draws an image of a class.
TASKS: dict[str, tuple[int, Callable[[int, torch.Generator], Tensor]]] = {
    "characters": (len(_CHARACTERS), _character),
    "heaps": (len(_SHAPES), _heap),
    "waves": (_DIRECTIONS * len(_WAVELENGTHS), _wave),
    "pictograms": (CLASSES, draw_pictogram),
}


def _uniform(generator: torch.Generator, *ranges: tuple[float, float]) -> list[float]:
    drawn = torch.rand(len(ranges), generator=generator).tolist()
    return [low + (high - low) * value for value, (low, high) in zip(drawn, ranges, strict=True)]


def _tensor(picture: object) -> Tensor:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(SIDE, SIDE)
