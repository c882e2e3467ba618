"""What the search moves: an embedding, and where it is asked for, the region of z that a class is drawn from.

A point is a vector: the embedding alone, ``[d]``, or with a mean and a log-deviation for each coordinate of z behind
it, ``[d + 2 Z]``. Then z is ``mean + deviation * noise``: a diagonal form of the "noise layer" of the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.expert import Expert

__all__ = ["bounds", "decode_points", "embeddings_of", "extended", "region_of"]

#: Bounds of the mean, and of the logarithm of the deviation: where a generator that was trained on N(0, 1) still draws.
_MEAN, _NARROW, _WIDE = 1.0, -1.0, 0.25


def extended(embeddings: Tensor, z: int) -> Tensor:
    """Points ``[..., d + 2 Z]`` with the embeddings ``[..., d]``, which begin with all of z."""
    return torch.cat([embeddings, embeddings.new_zeros(*embeddings.shape[:-1], 2 * z)], dim=-1)


def bounds(low: float, high: float, size: int, z: int) -> tuple[Tensor, Tensor]:
    """Least and greatest coordinates ``[size]`` or ``[size + 2 z]``, given those of embeddings."""
    least = torch.cat([torch.full((size,), low), torch.full((z,), -_MEAN), torch.full((z,), _NARROW)])
    greatest = torch.cat([torch.full((size,), high), torch.full((z,), _MEAN), torch.full((z,), _WIDE)])
    return least, greatest


def embeddings_of(points: Tensor, size: int) -> Tensor:
    """The embeddings ``[..., d]`` in points."""
    return points[..., :size]


def region_of(points: Tensor, size: int) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation of z in points, ``[..., Z]`` each, or ``None`` where a point is an embedding alone."""
    if points.shape[-1] == size:
        return None
    mean, spread = points[..., size:].chunk(2, dim=-1)
    return mean, spread.exp()


def decode_points(target: Expert, points: Tensor, z: Tensor, size: int) -> Tensor:
    """Images of every point on every latent, point after point.

    Args:
        target: the generator.
        points: ``[R, d]`` or ``[R, d + 2 Z]``.
        z: latents ``[B, Z]``, as the generator was trained.
        size: d.

    Returns:
        ``[R * B, C, H, W]`` in [0, 1].
    """
    region = region_of(points, size)
    moved = z.expand(len(points), *z.shape)
    if region is not None:
        mean, deviation = region
        moved = mean[:, None] + deviation[:, None] * z
    rows = embeddings_of(points, size).repeat_interleave(len(z), dim=0)
    images: Tensor = target.decode(rows, "class_embedding", z=moved.flatten(0, 1))
    return images
