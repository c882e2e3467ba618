"""The two gradient penalties of StyleGAN2's training. Both are differentiated once more when they are minimised."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

__all__ = ["path_lengths", "squared_gradient"]


def squared_gradient(judge: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``|d judge / d image|^2`` at each image, the R1 penalty (Mescheder et al. 2018, arXiv:1801.04406, equation 9).

    Args:
        judge: images to logits ``[B]``.
        images: ``[B, C, H, W]``.

    Returns:
        ``[B]``.
    """
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(judge(images).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
    """``|J^T y|`` for the Jacobian J of images by styles (Karras et al. 2020, section 3.2, equation 4).

    Args:
        images: ``[B, C, H, W]``, made of ``styles``.
        styles: ``[B, layers, w]``; the root mean square over layers is taken.
        noise: y before it is scaled, standard normal in the shape of the images.

    Returns:
        ``[B]``.
    """
    direction = noise / sqrt(images.shape[-1] * images.shape[-2])
    (gradient,) = torch.autograd.grad((images * direction).sum(), styles, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
