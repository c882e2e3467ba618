"""The terms of the objective: what makes an embedding recognised, varied and realistic. Each is per sample.

``R`` runs (a class from one start) are tuned side by side, on the same ``B`` latents. A term has one value for each run
and latent, ``[R, B]``, that depends on this run alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["diversity", "energy_distance", "log_density"]


def diversity(features: Tensor, z: Tensor) -> Tensor:
    """How far samples are from each other, over how far their latents are: a mean over pairs.

    The ratio is that of Yang et al. 2019 (arXiv:1901.09024) and Li et al. 2020 (arXiv:1910.04760), who add it up;
    a mean keeps its weight independent of the batch.

    Args:
        features: ``[R, B, D]``.
        z: latents ``[B, Z]``, ``B >= 2``.

    Returns:
        For each sample the mean over all others, ``[R, B]``; its mean over ``B`` is the mean over pairs.
    """
    other = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    ratio = distances(features, features) / torch.where(other, torch.cdist(z, z), 1.0)
    return (ratio * other).sum(dim=2) / (len(z) - 1)


def energy_distance(fake: Tensor, real: Tensor) -> Tensor:
    r"""Energy distance to real samples, up to a constant, in units of the distance between two real ones.

    .. math:: (2 E|X - Y| - E|X - X'|) / E|Y - Y'| - 1

    (Székely and Rizzo 2013.) It is 0, in expectation, where both are distributed alike, and positive elsewhere; unlike
    a Fréchet distance its estimate is unbiased on small batches.

    Args:
        fake: features ``[R, B, D]``, ``B >= 2``.
        real: features ``[R, N, D]``, ``N >= 2``.

    Returns:
        ``[R, B]``.
    """
    across = distances(fake, real).mean(dim=2)
    within = distances(fake, fake).sum(dim=2) / (fake.shape[1] - 1)
    scale = distances(real, real).sum(dim=(1, 2)) / (real.shape[1] * (real.shape[1] - 1))
    return (2 * across - within) / scale[:, None] - 1


def log_density(embeddings: Tensor, table: Tensor) -> Tensor:
    """Log-density of embeddings under a Gaussian of trained ones with independent coordinates, per coordinate.

    Args:
        embeddings: ``[R, d]``.
        table: trained embeddings ``[K, d]``, ``K >= 2``.

    Returns:
        ``[R]``, without the constant: 0 at the mean.
    """
    standard = (embeddings - table.mean(dim=0)) / table.std(dim=0).clamp(min=1e-6)
    return -0.5 * standard.square().mean(dim=1)


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances ``[R, B, N]`` with a gradient of 0, not NaN, where two samples are equal."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
