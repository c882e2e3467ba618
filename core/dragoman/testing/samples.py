"""Inputs for the checks, the same in every run."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from dragoman.ports import Port
from dragoman.representation import Representation, Tokens

__all__ = ["floats_of", "images", "sample_of", "texts", "with_gradient"]

BatchT = TypeVar("BatchT")
#: What stands for a size that a port leaves open.
OPEN_SIZE = 4
#: Side of images whose size a port leaves open: networks that halve them need a few pixels.
OPEN_SIDE = 16


def texts() -> list[str]:
    """Three texts of different lengths."""
    return ["a red bag", "shoe", "a very long blue striped shoe with long sleeves"]


def images(count: int = 3, channels: int = 3, height: int = 40, width: int = 48) -> Tensor:
    """Images of noise ``[count, channels, height, width]`` in [0, 1]."""
    return torch.rand(count, channels, height, width, generator=_generator())


def sample_of(port: Port, count: int = 3) -> Representation:
    """Noise in the form of a port: standard normal, images in [0, 1], the label 0, texts."""
    if port.modality == "text":
        return [texts()[row % 3] for row in range(count)]
    if port.modality == "label":
        return torch.zeros(count, dtype=torch.long)
    open_size = OPEN_SIDE if port.modality == "image" else OPEN_SIZE
    shape = [open_size if isinstance(size, str) else size for size in port.shape]
    if port.modality == "image":
        return torch.rand(count, *shape, generator=_generator())
    values = torch.randn(count, *shape, generator=_generator())
    if port.modality != "tokens":
        return values
    mask = torch.arange(shape[0]) < torch.tensor([shape[0] - row % 2 for row in range(count)])[:, None]
    return Tokens(values * mask[..., None], mask)


def floats_of(batch: Any) -> Tensor | None:
    """The floating-point values of a batch, or ``None``."""
    values = batch.values if isinstance(batch, Tokens) else batch
    return values if isinstance(values, Tensor) and values.is_floating_point() else None


def with_gradient(batch: BatchT) -> BatchT:
    """The batch again, its values a leaf that requires gradients."""
    if isinstance(batch, Tokens):
        return Tokens(batch.values.detach().clone().requires_grad_(), batch.mask)  # type: ignore[return-value]
    assert isinstance(batch, Tensor)
    return batch.detach().clone().requires_grad_()  # type: ignore[return-value]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
