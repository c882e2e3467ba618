"""Measures of sets of samples, over the features of any expert.

Everything here is a pure function of feature tensors and computes in float64. Numbers depend on the network that gave
the features and on the number of samples, so report both with them: a Fréchet distance is called FID only where the
network is the Inception of the original publication.
"""

from dragoman.metrics.diversity import diversity, novelty
from dragoman.metrics.extraction import features
from dragoman.metrics.frechet import Gaussian, frechet_distance
from dragoman.metrics.kid import KernelDistance, kernel_distance
from dragoman.metrics.prdc import PRDC, prdc

__all__ = [
    "PRDC",
    "Gaussian",
    "KernelDistance",
    "diversity",
    "features",
    "frechet_distance",
    "kernel_distance",
    "novelty",
    "prdc",
]
