"""The mapping network: z and a class to a style w (Karras et al. 2019, arXiv:1812.04948, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman_stylegan2.layers import FullyConnected, unit_second_moment

__all__ = ["Mapping"]


class Mapping(nn.Module):
    """z, a class, or both, through fully connected layers.

    Args:
        z_dim: length of z, 0 where only the class is mapped.
        classes: number of classes, 0 where only z is mapped.
        w_dim: length of the result and of all layers.
        layers: number of layers.
        rate: learning-rate multiplier of the layers; the class embedding learns at the full rate.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, classes: int, w_dim: int, *, layers: int, rate: float) -> None:
        super().__init__()
        self.z_dim, self.classes, self.layers = z_dim, classes, layers
        if classes:
            self.embed = FullyConnected(classes, w_dim, rectify=False)
        inputs = z_dim + (w_dim if classes else 0)
        for index in range(layers):
            self.add_module(f"fc{index}", FullyConnected(w_dim if index else inputs, w_dim, rate=rate))
        if z_dim:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Map.

        Args:
            z: ``[B, z_dim]``, or ``None`` where only the class is mapped.
            labels: int64 ``[B]``, where there are classes.

        Returns:
            ``[B, w_dim]``, in float32 unless the weights are float64.
        """
        dtype = torch.promote_types(self.get_submodule("fc0").get_parameter("weight").dtype, torch.float32)
        x = torch.cat([unit_second_moment(part) for part in self._inputs(z, labels, dtype)], dim=1)
        for index in range(self.layers):
            x = self.get_submodule(f"fc{index}")(x)
        return x

    def _inputs(self, z: Tensor | None, labels: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        parts = [] if z is None else [z.to(dtype)]
        if self.classes:
            assert labels is not None, "a class-conditional network needs labels"
            parts.append(self.embed(F.one_hot(labels, self.classes).to(dtype)))
        return parts

    @torch.no_grad()
    def track(self, w: Tensor, decay: float) -> None:
        """Move the running mean of styles ``w_avg`` towards the mean of ``[B, w_dim]``."""
        self.w_avg.lerp_(w.detach().mean(dim=0).to(self.w_avg.dtype), 1 - decay)
