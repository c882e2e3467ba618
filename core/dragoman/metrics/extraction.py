"""Features of images, by any expert that encodes them."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert

__all__ = ["features"]


def features(expert: Expert, images: Tensor, port: str, batch_size: int = 256) -> Tensor:
    """What an expert sees in images, for the metrics of this package.

    Args:
        expert: encodes images.
        images: float ``[N, C, H, W]`` in [0, 1]; moved to the expert's device batch by batch.
        port: a port of the expert that gives vectors.
        batch_size: images that go through the expert at once; no influence on the result.

    Returns:
        Float64 ``[N, D]`` on the expert's device.

    Raises:
        PortError: the expert has no such port, or it gives no vectors.
        InputError: there are no images, or ``batch_size`` is not positive.
    """
    if expert.port(port).modality != "vector":
        raise PortError(f"Metrics need a port that gives vectors, not {expert.port(port)}.")
    if len(images) == 0 or batch_size < 1:
        raise InputError(f"Features need images and a positive batch size, not {len(images)} and {batch_size}.")
    weight = next(expert.parameters(), images)
    starts = range(0, len(images), batch_size)
    with torch.no_grad():
        return torch.cat([_encode(expert, images[at : at + batch_size].to(weight.device), port) for at in starts])


def _encode(expert: Expert, batch: Tensor, port: str) -> Tensor:
    vectors = expert.encode(batch, port)
    assert isinstance(vectors, Tensor), "a port of modality vector gives a tensor"
    return vectors.to(torch.float64)
