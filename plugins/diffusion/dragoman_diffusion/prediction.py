"""What a diffusion network predicts, and how much each noise level counts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PREDICTIONS", "Prior", "clean_from", "loss_weight", "prediction_target"]

#: The noise; the clean sample; v = alpha e - sigma x (Salimans and Ho 2022, arXiv:2202.00512); or what the clean sample
#: is beside its best linear estimate, in standard deviations.
PREDICTIONS = ("epsilon", "sample", "v_prediction", "residual")


class Prior(NamedTuple):
    """What is known of the clean sample before its noisy version is seen; that of a super-resolution stage is narrow.

    Attributes:
        mean: ``[B, ...]``, or 0.
        std: ``[B, 1, ...]``, or 1.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def standard(cls, like: Tensor) -> Prior:
        """Mean 0 and standard deviation 1."""
        return cls(like.new_zeros(()), like.new_ones(()))


def _posterior(noisy: Tensor, alpha: Tensor, sigma: Tensor, prior: Prior) -> Prior:
    """Of the clean sample, given ``noisy = alpha clean + sigma noise``, were its prior a normal distribution.

    For the standard prior the mean is ``alpha noisy`` and the standard deviation ``sigma``, so that the residual is -v;
    with a mean it is the preconditioning of Karras et al. 2022 (arXiv:2206.00364, table 1) around that mean.
    """
    total = (sigma.square() + (alpha * prior.std).square()).sqrt()
    gain = alpha * prior.std.square() / total.square()
    return Prior(prior.mean + gain * (noisy - alpha * prior.mean), sigma * prior.std / total)


def prediction_target(
    kind: str, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, prior: Prior | None = None
) -> Tensor:
    """What the network should have predicted for ``alpha clean + sigma noise``; a prior is for ``residual`` alone."""
    if kind == "residual":
        expected = _posterior(alpha * clean + sigma * noise, alpha, sigma, prior or Prior.standard(clean))
        return (clean - expected.mean) / expected.std
    if kind == "epsilon":
        return noise
    return clean if kind == "sample" else alpha * noise - sigma * clean


def clean_from(
    kind: str, predicted: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor, prior: Prior | None = None
) -> Tensor:
    """The estimate of the clean sample that a prediction amounts to."""
    if kind == "residual":
        expected = _posterior(noisy, alpha, sigma, prior or Prior.standard(noisy))
        return expected.mean + expected.std * predicted
    if kind == "epsilon":
        return (noisy - sigma * predicted) / alpha
    return predicted if kind == "sample" else alpha * noisy - sigma * predicted


def loss_weight(kind: str, alpha: Tensor, sigma: Tensor, gamma: float, prior: Prior | None = None) -> Tensor:
    """Factor of the squared error: min-SNR-gamma (Hang et al. 2023, arXiv:2303.09556), or 1 for ``gamma`` 0.

    With it the squared error of the clean sample has the weight ``min(alpha^2 / sigma^2, gamma)``, whatever is
    predicted.
    """
    if not gamma:
        return torch.ones_like(alpha)
    snr = (alpha / sigma).square()
    weight = snr.clamp(max=gamma)
    if kind == "sample":
        return weight
    if kind == "residual":
        std = (prior or Prior.standard(alpha)).std
        return weight / (snr + std**-2)
    # An error d of the clean sample is one of d sqrt(snr) in epsilon and of d sqrt(snr + 1) in v.
    return weight / (snr if kind == "epsilon" else snr + 1)
