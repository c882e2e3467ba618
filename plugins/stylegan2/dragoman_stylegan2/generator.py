"""The generator: mapping, truncation, synthesis. Tensors carry the names of the official PyTorch releases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dragoman_stylegan2.config import GeneratorConfig
from dragoman_stylegan2.mapping import Mapping
from dragoman_stylegan2.synthesis import Plane, Synthesis

__all__ = ["Generator", "random_noise", "truncate"]


class Generator(nn.Module):
    """z to styles by :attr:`mapping`, styles to an image by :attr:`synthesis`."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.synthesis = Synthesis(config)
        self.mapping = Mapping(
            config.z_dim, config.num_classes, config.w_dim, layers=config.mapping_layers, rate=config.mapping_rate
        )

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same style for each layer, ``[B, num_ws, w_dim]``, of z ``[B, z_dim]`` and classes ``[B]``."""
        w: Tensor = self.mapping(z, labels)
        return w[:, None].repeat(1, self.config.num_ws, 1)

    def forward(self, z: Tensor, labels: Tensor | None = None, noise: Sequence[Plane] | None = None) -> Tensor:
        """Render z ``[B, z_dim]``, with the checkpoint's noise unless other planes are given.

        Returns:
            ``[B, image_channels, resolution, resolution]``, around [-1, 1].
        """
        image: Tensor = self.synthesis(self.styles(z, labels), noise)
        return image


def truncate(ws: Tensor, mean: Tensor, truncation: float, cutoff: int | None = None) -> Tensor:
    """The truncation trick: move styles towards their mean (Karras et al. 2019, appendix B).

    Args:
        ws: ``[B, num_ws, w_dim]``.
        mean: ``[w_dim]``.
        truncation: 1 changes nothing, 0 gives the mean.
        cutoff: how many layers, from the coarsest, are truncated; all when omitted.
    """
    if truncation == 1:
        return ws
    layers = torch.arange(ws.shape[1], device=ws.device)[:, None]
    truncated = mean.to(ws.dtype).lerp(ws, truncation)
    return truncated if cutoff is None else torch.where(layers < cutoff, truncated, ws)


def random_noise(synthesis: Synthesis, batch: int, generator: torch.Generator) -> list[Plane]:
    """Fresh planes ``[B, 1, H, W]`` for each layer, on the generator's device."""
    sizes = synthesis.noise_sizes
    return [torch.randn(batch, 1, size, size, generator=generator, device=generator.device) for size in sizes]
