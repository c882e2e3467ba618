"""What a diffusion network predicts, and how much each noise level counts."""

from __future__ import annotations

from torch import Tensor

__all__ = ["PREDICTIONS", "clean_from", "loss_weight", "prediction_target"]

#: The noise, the clean sample, or v = alpha e - sigma x (Salimans and Ho 2022, arXiv:2202.00512).
PREDICTIONS = ("epsilon", "sample", "v_prediction")


def prediction_target(kind: str, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the network should have predicted for ``alpha clean + sigma noise``."""
    if kind == "epsilon":
        return noise
    return clean if kind == "sample" else alpha * noise - sigma * clean


def clean_from(kind: str, predicted: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The estimate of the clean sample that a prediction amounts to."""
    if kind == "epsilon":
        return (noisy - sigma * predicted) / alpha
    return predicted if kind == "sample" else alpha * noisy - sigma * predicted


def loss_weight(kind: str, alpha: Tensor, sigma: Tensor, gamma: float) -> Tensor:
    """Factor of the squared error: min-SNR-gamma (Hang et al. 2023, arXiv:2303.09556), or 1 for ``gamma`` 0.

    With it the squared error of the clean sample has the weight ``min(alpha^2 / sigma^2, gamma)``, whatever is
    predicted.
    """
    if not gamma:
        return alpha.new_ones(alpha.shape)
    snr = (alpha / sigma).square()
    weight = snr.clamp(max=gamma)
    if kind == "sample":
        return weight
    # An error d of the clean sample is one of d sqrt(snr) in epsilon and of d sqrt(snr + 1) in v.
    return weight / (snr if kind == "epsilon" else snr + 1)
