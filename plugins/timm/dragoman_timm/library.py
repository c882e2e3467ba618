"""timm, imported once torchvision is importable."""

from __future__ import annotations

from typing import Any

from dragoman.operators import mend_torchvision

mend_torchvision()

import timm as _timm  # noqa: E402

__all__ = ["timm"]

#: The module; untyped, since its annotations do not hold what is used here.
timm: Any = _timm
