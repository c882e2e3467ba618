"""The sampling loop: diffusers' schedulers, driven by estimates of the clean sample.

All schedulers see the same estimate, after guidance and thresholding, so that these work alike with each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from operator import mul
from typing import Any, TypeAlias

from torch import Tensor

from dragoman_diffusion.library import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from dragoman_diffusion.options import check_choice, check_range
from dragoman_diffusion.schedule import GRID, Schedule

__all__ = ["SAMPLERS", "Denoiser", "denoise"]

#: From noisy samples ``[B, ...]`` and their time in (0, 1] to estimates of the clean ones.
Denoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]
#: Largest ratio of noise to signal that Karras et al. 2022 begin with.
LARGEST_SIGMA = 80.0


def _ddim(betas: list[float]) -> Any:
    # "leading", the default, never visits the noisiest time, and few steps feel it.
    return DDIMScheduler(trained_betas=betas, prediction_type="sample", clip_sample=False, timestep_spacing="trailing")


def _dpm(betas: list[float]) -> Any:
    return DPMSolverMultistepScheduler(
        trained_betas=betas,
        prediction_type="sample",
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        lower_order_final=True,
    )


def _edm(betas: list[float]) -> Any:
    # Karras' levels are spaced for a largest one of 80; the cosine schedule goes on to 20000, where little happens.
    kept = list(accumulate((1 - beta for beta in betas), mul))
    within = [beta for beta, share in zip(betas, kept, strict=True) if share > 1 / (1 + LARGEST_SIGMA**2)]
    return HeunDiscreteScheduler(
        num_train_timesteps=len(within), trained_betas=within, prediction_type="epsilon", use_karras_sigmas=True
    )


#: DDIM (arXiv:2010.02502), DPM-Solver++ of second order (arXiv:2211.01095), and Heun steps on the noise levels of
#: Karras et al. 2022 (arXiv:2206.00364), which evaluate the network twice per step.
SAMPLERS: dict[str, Callable[[list[float]], Any]] = {"ddim": _ddim, "dpm++": _dpm, "edm": _edm}


def denoise(
    denoiser: Denoiser, noise: Tensor, schedule: Schedule, sampler: str, steps: int, trace: list[Tensor] | None = None
) -> Tensor:
    """Noise to samples, without further randomness.

    Args:
        denoiser: the network.
        noise: standard normal ``[B, ...]``.
        schedule: what the network was trained on.
        sampler: a key of :data:`SAMPLERS`.
        steps: number of steps.
        trace: gets the estimate of the clean sample at each evaluation.

    Returns:
        The last sample ``[B, ...]``.

    Raises:
        InputError: there is no such sampler, or the number of steps is out of range.
    """
    check_choice("sampler", sampler, SAMPLERS)
    check_range("num_inference_steps", steps, 1, GRID, whole=True)
    scheduler = SAMPLERS[sampler](schedule.betas())
    scheduler.set_timesteps(steps, device=noise.device)
    sample: Tensor = noise * scheduler.init_noise_sigma
    for step in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, step)
        time = ((step.to(noise.dtype) + 1) / GRID).expand(len(noise))
        clean = denoiser(scaled, time)
        if trace is not None:
            trace.append(clean)
        sample = scheduler.step(_as_predicted(scheduler, clean, sample), step, sample, return_dict=False)[0]
    return sample


def _as_predicted(scheduler: Any, clean: Tensor, sample: Tensor) -> Tensor:
    if scheduler.config.prediction_type == "sample":
        return clean
    # Heun's scheduler works on x + sigma e and does not take estimates of x.
    sigma: float = scheduler.sigmas[scheduler.step_index].item()
    return (sample - clean) / sigma
