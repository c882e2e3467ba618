"""Three attributes measured on the image itself, differentiable in its pixels.

An image shows one garment on black. *Brightness* is the mean grey of the garment, *width* its horizontal over its
vertical spread, *pattern* the mean contrast to the local average inside it, relative to its brightness. Each falls
into one of three levels, by the terciles of real images of the same class: "a wide boot" is wide for a boot.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ATTRIBUTES", "LEVELS", "clear", "level_log_probabilities", "levels", "measure", "terciles"]

#: Names of the columns of :func:`measure`.
ATTRIBUTES = ("brightness", "width", "pattern")
#: Names of the levels, lowest first.
LEVELS = ("low", "middle", "high")

_EDGE = 0.1  # grey value from which a pixel belongs to the garment
_SHARPNESS = 60.0  # of the soft mask: black is 0.2 % garment, 0.15 is 95 %


def measure(images: Tensor) -> Tensor:
    """Measure the attributes.

    Args:
        images: float ``[B, 1, H, W]`` in [0, 1].

    Returns:
        ``[B, 3]``, in the order of :data:`ATTRIBUTES`; brightness in [0, 1], the others positive.
    """
    images = images.float()
    mask = torch.sigmoid(_SHARPNESS * (images - _EDGE))
    brightness = _mean(images, mask)
    local = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    inside = -F.max_pool2d(-mask, 3, stride=1, padding=1)
    pattern = _mean((images - local).abs(), inside) / (brightness + 0.1)
    return torch.stack([brightness, _spread(mask, 3) / _spread(mask, 2), pattern], dim=1)


def terciles(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Boundaries between the levels for each class, ``[num_classes, 3, 2]``, from measured real images."""
    thirds = torch.tensor([1 / 3, 2 / 3], device=values.device)
    return torch.stack([torch.quantile(values[labels == k], thirds, dim=0).T for k in range(num_classes)])


def levels(values: Tensor, labels: Tensor, boundaries: Tensor) -> Tensor:
    """Levels 0, 1, 2 of measured values, int64 ``[B, 3]``."""
    return (values[:, :, None] > boundaries[labels]).sum(dim=2)


def clear(values: Tensor, labels: Tensor, boundaries: Tensor, margin: float) -> Tensor:
    """Whether measured values lie well inside their levels, bool ``[B, 3]``.

    Args:
        values: measured ``[B, 3]``.
        labels: class of each image ``[B]``.
        boundaries: ``[K, 3, 2]``.
        margin: least distance to a boundary, as a share of the distance between the two boundaries; below 0.5.
    """
    low, high = boundaries[labels].unbind(dim=2)
    nearest = (values[:, :, None] - boundaries[labels]).abs().amin(dim=2)
    return nearest >= margin * (high - low)


def level_log_probabilities(values: Tensor, labels: Tensor, boundaries: Tensor, softness: float = 0.15) -> Tensor:
    """Smooth version of :func:`levels`, with gradients.

    Args:
        values: measured ``[B, 3]``.
        labels: class of each image ``[B]``.
        boundaries: ``[K, 3, 2]``.
        softness: width of the transition, as a share of the distance between the two boundaries.

    Returns:
        Log-probabilities ``[B, 3, 3]`` over (attribute, level).
    """
    low, high = boundaries[labels].unbind(dim=2)
    scale = softness * (high - low)
    below, above = (low - values) / scale, (values - high) / scale
    middle = torch.minimum(values - low, high - values) / scale
    return torch.log_softmax(torch.stack([below, middle, above], dim=2), dim=2)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum(dim=(1, 2, 3)) / (weights.sum(dim=(1, 2, 3)) + 1e-6)


def _spread(mask: Tensor, dim: int) -> Tensor:
    """Standard deviation of the mask's position along one axis, in pixels."""
    position = torch.arange(mask.shape[dim], device=mask.device, dtype=mask.dtype)
    weight = mask.sum(dim=(1, 5 - dim))
    total = weight.sum(dim=1) + 1e-6
    mean = (weight * position).sum(dim=1) / total
    variance = (weight * (position - mean[:, None]).square()).sum(dim=1) / total
    return (variance + 1e-6).sqrt()
