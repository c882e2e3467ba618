"""Whether StyleGAN2's own discriminator overfits the images that it is trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from dragoman_stylegan2.discriminator import Discriminator

__all__ = ["overfitting"]

_BATCH = 16


def overfitting(discriminator: Discriminator, train: Tensor, unseen: Tensor, made: Tensor) -> float:
    """Mean logit at training images minus that at other real ones, over the same minus that at generated ones.

    It is 0 where the discriminator takes unseen images for training ones, and 1 where it takes them for generated ones
    (Karras et al. 2020, arXiv:2006.06676, equation 1).

    Args:
        discriminator: of an unconditional StyleGAN2.
        train: uint8 ``[N, C, H, W]``.
        unseen: real images that training has not seen.
        made: generated ones.
    """
    known, other, fake = (_logit(discriminator, images) for images in (train, unseen, made))
    return (known - other) / (known - fake)


@torch.no_grad()
def _logit(discriminator: Discriminator, images: Tensor) -> float:
    # Whole batches, since samples of a batch are compared with each other.
    whole = images[: len(images) // _BATCH * _BATCH].float() / 127.5 - 1
    return float(torch.cat([discriminator(part) for part in whole.split(_BATCH)]).mean())
