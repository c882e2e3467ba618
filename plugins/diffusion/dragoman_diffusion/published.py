"""Named sizes: small ones for two cores, and those of Imagen (Saharia et al. 2022, arXiv:2205.11487, appendix F)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SIZES"]

#: Options of :meth:`dragoman_diffusion.diffusion.Diffusion.build` by name.
#:
#: The ``imagen`` ones have the published widths, blocks and attention. diffusers' U-Net samples down and up in the
#: published order for the base alone; the Efficient U-Net's order of operations is not to be had from it.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "default": {"widths": [32, 64], "layers": [1, 1], "attends": [False, True], "head": 16, "text_width": 64},
    "imagen-base": {
        "widths": [512, 1024, 1536, 2048],
        "layers": [3, 3, 3, 3],
        "attends": [False, True, True, True],
        "head": 64,
        "text_width": 2048,
        "attention": "concat",
        "prediction": "epsilon",
        "min_snr": 0.0,
    },
    "imagen-256": {
        "widths": [128, 256, 512, 1024],
        "layers": [2, 4, 8, 8],
        "attends": [False, False, False, True],
        "head": 128,
        "text_width": 1024,
        "attention": "concat",
        "prediction": "epsilon",
        "min_snr": 0.0,
        "scaled_skips": True,
    },
    "imagen-1024": {
        "widths": [128, 256, 512, 1024],
        "layers": [2, 4, 8, 8],
        "attends": [False, False, False, True],
        "head": 128,
        "text_width": 1024,
        "attention": "concat",
        "schedule": "linear",
        "prediction": "epsilon",
        "min_snr": 0.0,
        "scaled_skips": True,
        "crop": 256,
    },
}
