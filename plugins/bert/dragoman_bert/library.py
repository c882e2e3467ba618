"""What is needed of transformers, imported once torchvision is importable."""

from __future__ import annotations

from dragoman.operators import mend_torchvision

mend_torchvision()

from transformers import AutoModel, AutoTokenizer, PreTrainedModel  # noqa: E402

__all__ = ["AutoModel", "AutoTokenizer", "PreTrainedModel"]
