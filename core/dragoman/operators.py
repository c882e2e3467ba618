"""A torchvision whose compiled operators do not fit the installed torch, made importable.

timm and transformers import torchvision for its transforms and its graph tools, which are plain Python. The wheel on
PyPI is built for CUDA; beside a CPU build of torch its operators are missing and the import fails, and theirs with it,
although nothing would call them. Declaring the schemas of the two operators that the import asks for is enough then.
Where torchvision does load, declaring them a second time would end the process, so the import is tried first.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.util import find_spec

import torch

__all__ = ["mend_torchvision"]

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_MISSING = "operator torchvision::nms does not exist"
# A library's declarations last as long as the object.
_DECLARED: list[torch.library.Library] = []


@cache
def mend_torchvision() -> bool:
    """Make sure that torchvision, if it is installed, can be imported; call it before importing what needs it.

    Returns:
        Whether operators had to be declared.
    """
    if find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # a broken torchvision is the trouble of those who need it; they will say so
        if _MISSING in str(error):
            _declare_operators()
            return True
    return False


def _declare_operators() -> None:
    # What the failed import left behind is half of a package; the next import begins anew.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _DECLARED.append(library)
