import subprocess
import sys

import pytest

FITTING = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
NOT_FITTING = """
import torch
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): ...
@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold): ...
"""


@pytest.mark.parametrize(("torchvision", "declared"), [(FITTING, False), (NOT_FITTING, True)])
def test_operators_are_declared_only_where_torchvision_does_not_fit(torchvision, declared, tmp_path):
    """Packages that behave like the real ones: one declares its operators, one wants them declared."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(torchvision)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dragoman.operators import mend_torchvision; "
    script += "print(mend_torchvision()); import torchvision"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(declared)
