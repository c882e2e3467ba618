"""The kernel distance (KID): an unbiased estimate of how far two distributions of features are apart."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.metrics._checks import check_features, check_widths

__all__ = ["KernelDistance", "kernel_distance"]


class KernelDistance(NamedTuple):
    """Mean and (population) standard deviation over subsets; the mean is 0 in expectation for equal distributions.

    Where each subset has all samples of both sides there is only one, and the standard deviation is NaN.
    """

    mean: float
    std: float


def kernel_distance(
    real: Tensor, fake: Tensor, *, generator: torch.Generator, subsets: int = 100, subset_size: int = 1000
) -> KernelDistance:
    r"""Squared maximum mean discrepancy with the kernel :math:`k(x, y) = (x \cdot y / D + 1)^3`, over random subsets.

    (Bińkowski et al. 2018, arXiv:1801.01401, with the unbiased estimator of Gretton et al. 2012, eq. 3.) Being unbiased
    it may be negative, and unlike that of the Fréchet distance its expectation does not depend on the sample count.

    Args:
        real: features ``[N, D]``.
        fake: features ``[M, D]``.
        generator: draws the subsets.
        subsets: how many.
        subset_size: samples of each side in a subset, drawn without replacement; at most ``min(N, M)``.

    Raises:
        InputError: different widths, fewer samples than a subset has, or values that are not finite.
    """
    if subsets < 1 or subset_size < 2:
        raise InputError(f"At least 1 subset of 2 samples is needed, not {subsets} of {subset_size}.")
    one, other = check_features(real, "real", subset_size), check_features(fake, "fake", subset_size)
    check_widths(one, "real", other, "fake")
    if subset_size == len(one) == len(other):
        return KernelDistance(float(_discrepancy(one, other)), math.nan)
    drawn = [
        _discrepancy(_draw(one, subset_size, generator), _draw(other, subset_size, generator)) for _ in range(subsets)
    ]
    values = torch.stack(drawn)
    return KernelDistance(float(values.mean()), float(values.std(correction=0)))


def _draw(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    rows = torch.randperm(len(features), generator=generator, device=generator.device)[:size]
    return features[rows.to(features.device)]


def _discrepancy(one: Tensor, other: Tensor) -> Tensor:
    across = _kernel(one, other).mean()
    return _mean_of_pairs(_kernel(one, one)) + _mean_of_pairs(_kernel(other, other)) - 2 * across


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    return (one @ other.T / one.shape[1] + 1) ** 3


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    """Mean over pairs of different samples: leaving out the diagonal is what makes the estimate unbiased."""
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))
