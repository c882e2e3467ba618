"""Precision, recall, density and coverage: fidelity and variety, apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.metrics._checks import check_features, check_widths, row_chunks

__all__ = ["PRDC", "prdc"]


class PRDC(NamedTuple):
    """How two sets of samples cover each other.

    Attributes:
        precision: share of fake samples within the neighbourhood of a real one, in [0, 1].
        recall: share of real samples within the neighbourhood of a fake one, in [0, 1].
        density: mean number of real neighbourhoods around a fake sample, over ``k``; 1 where distributions agree,
            more where fake samples crowd in dense places.
        coverage: share of real samples with a fake one in their neighbourhood, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """Compare two sets by the balls that reach from each sample to its ``k``-th nearest neighbour of the same set.

    Precision and recall are those of Kynkäänniemi et al. 2019 (arXiv:1904.06991), density and coverage those of
    Naeem et al. 2020 (arXiv:2002.09797). All four depend on the number of samples.

    Args:
        real: features ``[N, D]``, ``N > k``.
        fake: features ``[M, D]``, ``M > k``.
        k: which neighbour sets the radius of a ball.

    Raises:
        InputError: different widths, ``k`` samples or fewer, or values that are not finite.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}.")
    one, other = check_features(real, "real", k + 1), check_features(fake, "fake", k + 1)
    check_widths(one, "real", other, "fake")
    # Distances are exact to about 1e-8 of the largest coordinate; a common offset must not be that coordinate.
    centre = one.mean(dim=0)
    return _compare(one - centre, other - centre, k)


def _compare(real: Tensor, fake: Tensor, k: int) -> PRDC:
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = torch.zeros_like(covered)
    balls = []
    for rows, radii in zip(row_chunks(fake, len(real)), row_chunks(fake_radii, len(real)), strict=True):
        distances = torch.cdist(rows, real)
        around = distances <= real_radii
        balls.append(around.sum(dim=1))
        covered |= around.any(dim=0)
        recalled |= (distances <= radii[:, None]).any(dim=0)
    counts = torch.cat(balls)
    return PRDC(_share(counts > 0), _share(recalled), float(counts.double().mean()) / k, _share(covered))


def _radii(features: Tensor, k: int) -> Tensor:
    """Distance of each sample to its ``k``-th nearest neighbour, ``[N]``; the nearest of all is the sample itself."""
    blocks = (torch.cdist(chunk, features) for chunk in row_chunks(features, len(features)))
    return torch.cat([block.topk(k + 1, dim=1, largest=False).values.amax(dim=1) for block in blocks])


def _share(true: Tensor) -> float:
    return float(true.double().mean())
