"""Spectral normalisation in the layout of BigGAN-PyTorch: buffers ``u0`` and ``sv0`` beside each weight.

Every forward runs one power iteration from the stored vector (Miyato et al. 2018, algorithm 1); only training stores
the improved vector, so that evaluation is a function of the checkpoint alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SpectralConv2d", "SpectralEmbedding", "SpectralLinear"]


class _Spectral:
    """Mix-in that divides ``weight`` by its largest singular value."""

    weight: Tensor
    u0: Tensor
    sv0: Tensor
    training: bool
    norm_eps: float

    def _init_norm(self, rows: int, eps: float) -> None:
        assert isinstance(self, nn.Module)
        self.norm_eps = eps
        self.register_buffer("u0", F.normalize(torch.ones(1, rows), dim=1))
        self.register_buffer("sv0", torch.ones(1))

    def normalised(self) -> Tensor:
        """The weight divided by the estimate of its spectral norm, which is differentiable in the weight."""
        matrix = self.weight.flatten(1).float()
        with torch.no_grad():
            v = F.normalize(self.u0.float() @ matrix, eps=self.norm_eps)
            u = F.normalize(v @ matrix.T, eps=self.norm_eps)
        sigma = (v @ matrix.T @ u.T).squeeze()
        if self.training:
            with torch.no_grad():
                self.u0.copy_(u)
                self.sv0.copy_(sigma)
        return self.weight / sigma.to(self.weight.dtype)


class SpectralConv2d(_Spectral, nn.Conv2d):
    """Convolution with a spectrally normalised kernel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, eps: float, bias: bool = True) -> None:
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self._init_norm(out_channels, eps)

    def forward(self, input: Tensor) -> Tensor:
        """``[B, in, H, W]`` to ``[B, out, H, W]``."""
        return F.conv2d(input, self.normalised(), self.bias, padding=self.padding)


class SpectralLinear(_Spectral, nn.Linear):
    """Linear map with a spectrally normalised matrix."""

    def __init__(self, in_features: int, out_features: int, *, eps: float, bias: bool = True) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias=bias)
        self._init_norm(out_features, eps)

    def forward(self, input: Tensor) -> Tensor:
        """``[B, in]`` to ``[B, out]``."""
        return F.linear(input, self.normalised(), self.bias)


class SpectralEmbedding(_Spectral, nn.Embedding):
    """Table of vectors, normalised as one matrix."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, eps: float, **options: Any) -> None:
        nn.Embedding.__init__(self, num_embeddings, embedding_dim, **options)
        self._init_norm(num_embeddings, eps)

    def forward(self, input: Tensor) -> Tensor:
        """Labels ``[B]`` to ``[B, embedding_dim]``."""
        return F.embedding(input, self.normalised())
