"""What is needed of diffusers, imported once torchvision is importable."""

from __future__ import annotations

from dragoman.operators import mend_torchvision

mend_torchvision()

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel  # noqa: E402
from diffusers.schedulers.scheduling_ddim import DDIMScheduler  # noqa: E402
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler  # noqa: E402
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler  # noqa: E402

__all__ = ["DDIMScheduler", "DPMSolverMultistepScheduler", "HeunDiscreteScheduler", "UNet2DConditionModel"]
