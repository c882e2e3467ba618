"""Architectures by the names that they have in ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dragoman.errors import PackageError
from dragoman_codec.hyperprior import Hyperprior, MeanScaleHyperprior, ScaleHyperprior
from dragoman_codec.lapped import LappedHyperprior

__all__ = ["ARCHITECTURES", "network_of"]

ARCHITECTURES: dict[str, type[Hyperprior]] = {
    "scale-hyperprior": ScaleHyperprior,
    "mean-scale-hyperprior": MeanScaleHyperprior,
    "lapped-hyperprior": LappedHyperprior,
}


def network_of(config: Mapping[str, Any]) -> Hyperprior:
    """A fresh network by its ``config.json``: ``architecture``, ``N`` and ``M``.

    Raises:
        PackageError: the architecture is unknown, or a size is no whole number in [1, 1024].
    """
    name, sizes = config.get("architecture"), (config.get("N"), config.get("M"))
    if name not in ARCHITECTURES:
        raise PackageError(f"The codec's architecture is {name!r}; known are {', '.join(ARCHITECTURES)}.")
    if any(type(size) is not int or not 1 <= size <= 1024 for size in sizes):
        raise PackageError(
            f"The codec's sizes N and M are {sizes[0]!r} and {sizes[1]!r}, not whole numbers up to 1024."
        )
    return ARCHITECTURES[name](config["N"], config["M"])
