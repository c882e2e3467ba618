"""Is this diffusion learning, and does it listen to its condition? Figures and pictures that answer early."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.representation import Representation, length, select
from dragoman_diffusion.diffusion import Diffusion

__all__ = ["Score", "caption_gap", "estimate_strip", "guidance_curve", "loss_by_band"]

#: How well images fit their conditions, ``[B]``; higher is better.
Score = Callable[[Tensor, Representation], Tensor]


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
    rows = length(condition)
    if rows < 2:
        raise InputError("The caption gap compares conditions, so it needs at least two rows.")
    t = diffusion.schedule.draw(rows, torch.Generator().manual_seed(seed))

    def loss(given: Representation) -> float:
        return float(diffusion.denoising(target, given, t, torch.Generator().manual_seed(seed + 1)).mean())

    matched, shuffled = loss(condition), loss(select(condition, [*range(1, rows), 0]))
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


@torch.no_grad()
def guidance_curve(
    sample: Callable[[Representation, float], Tensor],
    condition: Representation,
    scales: Sequence[float],
    fidelity: Callable[[Tensor], float],
    alignment: Score,
) -> list[dict[str, float]]:
    """Fidelity and alignment over guidance scales, one entry for each; one point of the curve says little.

    Args:
        sample: images for conditions at a guidance scale.
        condition: a batch of conditions.
        scales: the scales.
        fidelity: of a batch of images, such as a Fréchet distance to real ones.
        alignment: of each image with its condition.
    """
    curve = []
    for scale in scales:
        images = sample(condition, scale)
        fits = float(alignment(images, condition).mean())
        curve.append({"guidance_scale": scale, "fidelity": fidelity(images), "alignment": fits})
    return curve
