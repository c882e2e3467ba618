"""Where a run takes place, and which of its processes speaks."""

from __future__ import annotations

import torch

__all__ = ["choose_device", "is_main_process"]


def choose_device(device: str | torch.device | None) -> torch.device:
    """The given device, or else what accelerate finds: the accelerator of this process, or the CPU."""
    from accelerate import PartialState

    return torch.device(device) if device is not None else torch.device(PartialState().device)


def is_main_process() -> bool:
    """Whether this process writes the files that a run has only once."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)
