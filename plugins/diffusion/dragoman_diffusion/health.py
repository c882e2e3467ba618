"""Is this diffusion learning, and does it listen to its condition? Figures and pictures that answer early."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.representation import Representation, length, select

if TYPE_CHECKING:
    from dragoman_diffusion.diffusion import Diffusion

__all__ = ["caption_gap", "condition_gap", "estimate_strip", "loss_by_band"]


@torch.no_grad()
def loss_by_band(
    diffusion: Diffusion, target: Tensor, condition: Representation, *, bands: int = 5, seed: int = 0
) -> dict[str, float]:
    """The loss at each fifth of the noise levels: ``{"0.0-0.2": ..., ..., "0.8-1.0": ...}``.

    What is noisy decides what a picture shows, what is nearly clean decides its texture; the mean loss hides which of
    the two is not learned. Equal seeds give equal noise, so that figures of several checkpoints compare.

    Args:
        diffusion: what is being trained.
        target: images ``[B, C, H, W]`` in [0, 1] that it was not trained on.
        condition: their conditions.
        bands: number of bands.
        seed: of times and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    losses = {}
    for band in range(bands):
        t = (band + 1 - torch.rand(len(target), generator=generator)) / bands
        loss = diffusion.denoising(target, condition, t, generator).mean()
        losses[f"{band / bands:.1f}-{(band + 1) / bands:.1f}"] = float(loss)
    return losses


@torch.no_grad()
def caption_gap(diffusion: Diffusion, target: Tensor, condition: Representation, *, seed: int = 0) -> dict[str, float]:
    """The loss with matching conditions, with those of other rows, and by how much the latter is larger, relatively.

    A gap near 0 means that the condition is ignored, whatever the samples look like.

    Args:
        diffusion: what is being trained.
        target: images ``[B, C, H, W]`` in [0, 1], two at least.
        condition: their conditions.
        seed: of times and noise, which are the same for both.

    Raises:
        InputError: there is one row only.
    """
    t = diffusion.schedule.draw(length(condition), torch.Generator().manual_seed(seed))
    return condition_gap(
        lambda given: diffusion.denoising(target, given, t, torch.Generator().manual_seed(seed + 1)), condition
    )


@torch.no_grad()
def condition_gap(loss: Callable[[Representation], Tensor], condition: Representation) -> dict[str, float]:
    """The mean of a loss with conditions as they are and with each moved to the next row, and their relative gap.

    Args:
        loss: of the same samples under given conditions, ``[B]``, with the same randomness at each call.
        condition: a batch of conditions, two at least.

    Raises:
        InputError: there is one row only.
    """
    rows = length(condition)
    if rows < 2:
        raise InputError("The caption gap compares conditions, so it needs at least two rows.")
    matched, shuffled = (float(loss(given).mean()) for given in (condition, select(condition, [*range(1, rows), 0])))
    return {"matched": matched, "shuffled": shuffled, "gap": shuffled / matched - 1}


@torch.no_grad()
def estimate_strip(
    diffusion: Diffusion,
    condition: Representation,
    *,
    columns: int = 8,
    low: Tensor | None = None,
    seed: int = 0,
    guidance_scale: float = 2.0,
    num_inference_steps: int = 16,
) -> Tensor:
    """What the network believes the image to be along the way, ``[B * columns, C, H, W]``, each row's side by side.

    Args:
        diffusion: what is being trained.
        condition: a few conditions.
        columns: estimates per condition, evenly spread from the first to the last.
        low: smaller images, for a super-resolution stage.
        seed: of the noise.
        guidance_scale: see :meth:`Diffusion.sample`.
        num_inference_steps: see :meth:`Diffusion.sample`.
    """
    trace: list[Tensor] = []
    diffusion.sample(
        condition,
        generator=torch.Generator().manual_seed(seed),
        low=low,
        trace=trace,
        guidance_scale=guidance_scale,
        num_inference_steps=num_inference_steps,
    )
    chosen = [trace[round(place)] for place in torch.linspace(0, len(trace) - 1, columns).tolist()]
    return torch.stack(chosen, dim=1).flatten(0, 1).clamp(0, 1)
