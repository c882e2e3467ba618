"""The Bjontegaard difference of rate-distortion curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dragoman.errors import InputError

__all__ = ["bd_rate"]

_DEGREE = 3


def bd_rate(reference: Sequence[tuple[float, float]], tested: Sequence[tuple[float, float]]) -> float:
    """How much more rate a codec needs than a reference for the same quality, in percent (Bjontegaard 2001, VCEG-M33).

    The logarithm of the rate is fitted by a cubic in the quality, and averaged over the qualities that both reach.

    Args:
        reference: points of bits per pixel and PSNR in dB, at least 4.
        tested: likewise.

    Raises:
        InputError: there are too few points, a rate is not positive, or the curves have no quality in common.
    """
    curves = [np.asarray(sorted(curve, key=lambda point: point[1]), dtype=float) for curve in (reference, tested)]
    for curve in curves:
        if len(curve) <= _DEGREE or not (np.isfinite(curve).all() and (curve[:, 0] > 0).all()):
            raise InputError("A rate-distortion curve needs at least 4 points of positive rate.")
    low = max(curve[0, 1] for curve in curves)
    high = min(curve[-1, 1] for curve in curves)
    if low >= high:
        raise InputError("The two codecs have no quality in common, so their rates cannot be compared.")
    means = [_mean_log_rate(curve, low, high) for curve in curves]
    return float(100 * np.expm1(means[1] - means[0]))


def _mean_log_rate(curve: np.ndarray[tuple[int, int], np.dtype[np.float64]], low: float, high: float) -> float:
    centre = curve[:, 1].mean()  # a cubic in large numbers loses digits
    integral = np.polynomial.Polynomial.fit(curve[:, 1] - centre, np.log(curve[:, 0]), _DEGREE).integ()
    return float((integral(high - centre) - integral(low - centre)) / (high - low))
