"""The store of what is installed with this distribution."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from dragoman.stores import Bundle

__all__ = ["CodecBundle"]


class CodecBundle(Bundle):
    """Addresses ``codec/NAME``."""

    prefix: ClassVar[str] = "codec/"
    models: ClassVar[Path] = Path(__file__).with_name("models")
