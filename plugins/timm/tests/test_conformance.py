import pytest
import torch

from dragoman.testing import critic_tests, expert_tests
from dragoman_timm.perceptual import Perceptual
from dragoman_timm.style import Style

SMALLEST = {"vgg16": [4, "M", 4, "M", 6, "M", 6, "M", 8, "M"], "swin_tiny": [1, 1, 1, 1]}
REFERENCES = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def vgg16(tiny, tmp_path):
    """Small, but with as many stages as the card promises."""
    config = tiny.config("vgg")
    config["model_args"]["cfg"] = SMALLEST["vgg16"]
    return tiny.write(tmp_path / "vgg16", config)


@pytest.fixture
def swin_tiny(tiny, tmp_path):
    config = tiny.config("swin")
    config["model_args"] |= {"depths": SMALLEST["swin_tiny"], "num_heads": [1, 2, 4, 4], "window_size": 2}
    return tiny.write(tmp_path / "swin_tiny", config)


@pytest.fixture
def resnet(folders):
    return folders["resnet"]


@pytest.fixture
def perceptual(vgg16, tiny):
    return Perceptual(tiny.load(vgg16))


@pytest.fixture
def style(vgg16, tiny):
    return Style(tiny.load(vgg16))


test_vgg16 = expert_tests("vgg16", checkpoint="vgg16")
test_swin_tiny = expert_tests("swin_tiny", checkpoint="swin_tiny")
test_timm = expert_tests("timm", checkpoint="resnet")
test_perceptual = critic_tests("perceptual", "perceptual", condition=REFERENCES)
test_style = critic_tests("style", "style", condition=REFERENCES)
