"""What is needed of transformers, imported once torchvision is importable."""

from __future__ import annotations

from dragoman.operators import mend_torchvision

mend_torchvision()

from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, T5EncoderModel  # noqa: E402

__all__ = ["AutoConfig", "AutoTokenizer", "PreTrainedModel", "T5EncoderModel"]
