"""In which precision a device trains fastest."""

from __future__ import annotations

import torch

__all__ = ["multiplies_bfloat16", "uses_bfloat16"]

#: Instructions of CPUs that multiply bfloat16, as :func:`torch.cpu.get_capabilities` calls them.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware; where it does not, float32 is up to thirty times as fast."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return any(torch.cpu.get_capabilities().get(name, False) for name in _INSTRUCTIONS)
    return False


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether training on a device autocasts to bfloat16.

    Args:
        precision: one of :class:`~dragoman.training.settings.Settings`.
        device: where training takes place.
    """
    return precision == "bf16" or (precision == "auto" and multiplies_bfloat16(device))
