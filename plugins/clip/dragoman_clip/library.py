"""What is needed of transformers, imported once torchvision is importable."""

from __future__ import annotations

from dragoman.operators import mend_torchvision

mend_torchvision()

from transformers import (  # noqa: E402
    AutoConfig,
    AutoTokenizer,
    CLIPModel,
    PreTrainedModel,
    SiglipModel,
)

__all__ = ["AutoConfig", "AutoTokenizer", "CLIPModel", "PreTrainedModel", "SiglipModel"]
