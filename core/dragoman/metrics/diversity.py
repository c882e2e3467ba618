"""Diversity within groups of samples, and how far samples are from what was seen in training."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman.metrics._checks import check_features, check_widths, row_chunks

__all__ = ["diversity", "novelty"]


def diversity(features: Tensor) -> Tensor:
    """Mean Euclidean distance between two different samples of a group.

    Args:
        features: ``[P, N, D]``, the ``N >= 2`` samples of each of ``P`` groups (made for one prompt, of one class).

    Returns:
        Float64 ``[P]``, in units of the features; 0 where all samples of a group are equal. Its expectation does not
        depend on ``N``.

    Raises:
        InputError: another shape, fewer than two samples in a group, or values that are not finite.
    """
    grouped = check_features(features, "grouped", at_least=2, form="[P, N, D]")
    return torch.stack([torch.pdist(group).mean() for group in grouped])


def novelty(samples: Tensor, reference: Tensor) -> Tensor:
    """Euclidean distance of each sample to its nearest neighbour in a reference set.

    Exactly 0 for a copy, so it shows what retrieval hides from every comparison of distributions. Compare it with the
    same measure of held-out real samples.

    Args:
        samples: features ``[N, D]``.
        reference: features ``[M, D]``, of the training set for instance.

    Returns:
        Float64 ``[N]``, in units of the features.

    Raises:
        InputError: different widths, no samples, or values that are not finite.
    """
    queries, known = check_features(samples, "sample"), check_features(reference, "reference")
    check_widths(queries, "sample", known, "reference")
    centre = known.mean(dim=0)
    nearest = [torch.cdist(chunk, known - centre).argmin(dim=1) for chunk in row_chunks(queries - centre, len(known))]
    # The matrix product behind cdist rounds; only the distance to the neighbour it found is computed exactly.
    exact: Tensor = torch.linalg.vector_norm(queries - known[torch.cat(nearest)], dim=1)
    return exact
