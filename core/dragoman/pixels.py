"""Images on their way into an expert: checked, resized, cropped and normalised by differentiable operations.

The operations follow Pillow and torchvision, with which published checkpoints were made, on float images in [0, 1] and
without rounding to 256 levels; so gradients reach the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dragoman.errors import InputError

__all__ = ["center_crop", "check_images", "match_channels", "normalize", "resize", "shortest_edge"]

#: Weights of red, green and blue in the luma of ITU-R BT.601, which Pillow's mode "L" uses.
LUMA = (0.299, 0.587, 0.114)


def check_images(inputs: Any) -> Tensor:
    """The inputs, if they are images: float ``[B, 1 or 3, H, W]``.

    Raises:
        InputError: they are no tensor, of another type, or of another shape.
    """
    if not isinstance(inputs, Tensor):
        raise InputError(f"An image encoder takes a tensor [B, C, H, W], not {type(inputs).__name__}.")
    if inputs.ndim != 4 or inputs.shape[1] not in (1, 3) or 0 in inputs.shape[2:]:
        raise InputError(f"Images are [B, 1, H, W] or [B, 3, H, W], not {list(inputs.shape)}.")
    if not inputs.is_floating_point():
        raise InputError(f"Images are floats in [0, 1], not {inputs.dtype}; divide bytes by 255.")
    return inputs


def match_channels(images: Tensor, channels: int) -> Tensor:
    """Images with as many channels as a network reads.

    Grey images are repeated for a network of colour images; of colour images, a network of grey images sees the luma
    (ITU-R BT.601).

    Args:
        images: ``[B, 1 or 3, H, W]``.
        channels: 1 or 3.
    """
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)
    return torch.einsum("bchw,c->bhw", images, weights).unsqueeze(1)


def shortest_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    """Height and width after scaling so that the shorter of them is ``edge``; the longer is rounded down.

    >>> shortest_edge(30, 47, 20)
    (20, 31)
    """
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def resize(images: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Images of another size, by Pillow's filters: antialiased, and within [0, 1] although bicubic overshoots.

    Args:
        images: ``[B, C, H, W]`` in [0, 1].
        size: height and width of the result.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
    """
    if images.shape[2:] == size:
        return images
    # Pillow scales rows, then columns, and what overshoots is cut off each time.
    for each in ((images.shape[2], size[1]), size):
        images = functional.interpolate(images, each, mode=interpolation, antialias=True).clamp(0, 1)
    return images


def center_crop(images: Tensor, size: tuple[int, int], rounding: Callable[[float], int] = round) -> Tensor:
    """The middle of images; zeros around images that are smaller.

    Args:
        images: ``[B, C, H, W]``.
        size: height and width of the result.
        rounding: what happens to half pixels: torchvision rounds, transformers takes ``math.floor``.
    """
    spare = images.shape[2] - size[0], images.shape[3] - size[1]
    # Borders are always rounded down before the image, and so up behind it.
    top, left = (rounding(each / 2) if each > 0 else -(-each // 2) for each in spare)
    return functional.pad(images, (-left, left - spare[1], -top, top - spare[0]))


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(images - mean) / std``, channel by channel."""
    shape = (1, -1, 1, 1)
    shift = torch.tensor(mean, dtype=images.dtype, device=images.device).view(shape)
    scale = torch.tensor(std, dtype=images.dtype, device=images.device).view(shape)
    return (images - shift) / scale
