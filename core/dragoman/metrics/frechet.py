"""The Fréchet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.metrics._checks import check_features, check_widths

__all__ = ["Gaussian", "frechet_distance"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance of a set of features: all that the Fréchet distance needs of it, and small enough to store.

    Args:
        mean: float64 ``[D]``.
        cov: unbiased covariance, float64 ``[D, D]``.
        count: number of samples that they were estimated from, at least 2.

    Raises:
        InputError: shapes that do not belong together, values that are not finite, or too few samples.
    """

    mean: Tensor
    cov: Tensor
    count: int

    def __post_init__(self) -> None:
        width = self.mean.numel()
        if self.mean.shape != (width,) or self.cov.shape != (width, width):
            shapes = f"{list(self.mean.shape)} and {list(self.cov.shape)}"
            raise InputError(f"Mean and covariance must have shapes [D] and [D, D], not {shapes}.")
        if self.count < 2:
            raise InputError(f"A covariance needs at least 2 samples, not {self.count}.")
        if not (self.mean.isfinite().all() and self.cov.isfinite().all()):
            raise InputError("Mean and covariance must be finite.")

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Estimate from features ``[N, D]``, ``N >= 2``.

        Raises:
            InputError: too few samples, or values that are not finite.
        """
        return cls._estimate(features, "given")

    def to_tensors(self) -> dict[str, Tensor]:
        """As named tensors, for safetensors."""
        return {"mean": self.mean, "cov": self.cov, "count": torch.tensor(self.count)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """What :meth:`to_tensors` gave.

        Raises:
            InputError: a tensor is missing, or they do not belong together.
        """
        missing = {"mean", "cov", "count"} - set(tensors)
        if missing:
            raise InputError(f"The statistics lack {', '.join(sorted(missing))}.")
        mean, cov = (tensors[name].to(torch.float64) for name in ("mean", "cov"))
        return cls(mean, cov, int(tensors["count"]))

    @classmethod
    def _estimate(cls, features: Tensor, what: str) -> Self:
        exact = check_features(features, what, at_least=2)
        centred = exact - exact.mean(dim=0)
        return cls(exact.mean(dim=0), centred.T @ centred / (len(exact) - 1), len(exact))


def frechet_distance(real: Tensor | Gaussian, fake: Tensor | Gaussian) -> float:
    r"""Squared 2-Wasserstein distance of the Gaussians fitted to two sets of features; 0 where they agree.

    .. math:: \|\mu_1 - \mu_2\|^2 + \operatorname{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    (Dowson and Landau 1982; Heusel et al. 2017, arXiv:1706.08500, eq. 6.) Its expectation falls with the number of
    samples, so compare only equal counts.

    Args:
        real: features ``[N, D]`` or their statistics.
        fake: features ``[M, D]`` or their statistics; ``N`` and ``M`` may be smaller than ``D``.

    Raises:
        InputError: different widths, fewer than two samples, or values that are not finite.
    """
    one, other = _statistics(real, "real"), _statistics(fake, "fake")
    check_widths(one.mean, "real", other.mean, "fake")
    shift = (one.mean - other.mean).square().sum()
    spread = one.cov.trace() + other.cov.trace() - 2 * _trace_of_root(one, other)
    # Rounding can leave a trace of the size of 1e-12 below zero for equal inputs.
    return max(0.0, float(shift + spread))


def _statistics(given: Tensor | Gaussian, what: str) -> Gaussian:
    return given if isinstance(given, Gaussian) else Gaussian._estimate(given, what)


def _trace_of_root(one: Gaussian, other: Gaussian) -> Tensor:
    """Trace of ``(cov1 cov2)^(1/2)`` by symmetric eigenvalue problems only.

    With ``cov1 = A A^T``, the product has the eigenvalues of the symmetric ``A^T cov2 A`` and zeros. Taking for ``A``
    the side with fewer samples, without its null space, keeps those zeros out of the root: a zero that is rounded to
    1e-16 would count as 1e-8.
    """
    few, many = (one, other) if one.count <= other.count else (other, one)
    factor = _factor(few.cov)
    eigenvalues: Tensor = torch.linalg.eigvalsh(factor.T @ many.cov @ factor)
    return eigenvalues.clamp(min=0).sqrt().sum()


def _factor(cov: Tensor) -> Tensor:
    """``A`` with ``cov = A A^T``, ``[D, rank]``."""
    eigenvalues, vectors = torch.linalg.eigh(cov)
    smallest = eigenvalues.abs().max() * len(cov) * torch.finfo(cov.dtype).eps
    kept = eigenvalues > smallest
    factor: Tensor = vectors[:, kept] * eigenvalues[kept].sqrt()
    return factor
