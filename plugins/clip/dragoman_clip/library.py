"""What is needed of transformers, imported once torchvision is importable."""

from __future__ import annotations

from dragoman.operators import mend_torchvision

mend_torchvision()

from transformers import AutoTokenizer, CLIPModel, PreTrainedModel, SiglipModel  # noqa: E402

__all__ = ["AutoTokenizer", "CLIPModel", "PreTrainedModel", "SiglipModel"]
