"""Dynamic thresholding of estimated images (Saharia et al. 2022, arXiv:2205.11487, section 2.3)."""

from __future__ import annotations

from torch import Tensor

__all__ = ["dynamic_threshold"]


def dynamic_threshold(clean: Tensor, share: float) -> Tensor:
    """Clip each sample at the quantile of its own magnitudes, and scale it back into [-1, 1].

    Saturated pixels move inwards, which keeps contrast natural under strong guidance. Clipping at 1 alone, which is
    what diffusers does unless ``sample_max_value`` is raised, piles them up at the ends.

    Args:
        clean: estimates ``[B, C, H, W]`` of samples in [-1, 1].
        share: the quantile, such as 0.995; 0 clips at 1 alone.
    """
    if not share:
        return clean.clamp(-1, 1)
    limit = clean.detach().flatten(1).float().abs().quantile(share, dim=1).clamp(min=1).to(clean)
    limit = limit.view(-1, *[1] * (clean.ndim - 1))
    return clean.clamp(-limit, limit) / limit
