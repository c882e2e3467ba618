import subprocess
import sys

import pytest

from dragoman_timm import PERCEPTUAL, STYLE, SWIN_TINY, TIMM, VGG16


def test_the_cards_are_light():
    heavy = "torch", "timm", "torchvision", "numpy", "safetensors", "huggingface_hub"
    script = f"import sys, dragoman_timm; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("card", "architecture"), [(VGG16, "vgg16"), (SWIN_TINY, "swin_tiny_patch4_window7_224"), (TIMM, "resnet18")]
)
def test_cards_and_published_checkpoints_agree_on_ports(card, architecture):
    # What the repositories' config.json say; shapes come from it alone, without weights.
    config = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 224, 224]}}
    found = card.load().describe(config)
    assert next(iter(found)) == card.ports[0].name == "pooled"
    for port in card.ports:
        loaded = found[port.name]
        assert (loaded.modality, loaded.dtype, loaded.gives) == (port.modality, port.dtype, True)
        sizes = zip(port.shape, loaded.shape, strict=True)
        assert all(isinstance(on_card, str) or on_card == size for on_card, size in sizes)
    if card is not TIMM:
        assert [port.name for port in card.ports] == list(found)


@pytest.mark.parametrize("card", [PERCEPTUAL, STYLE])
def test_the_losses_on_the_critics_cards_are_those_they_give(card, tiny, tmp_path):
    config = tiny.config("vgg")
    config["model_args"]["cfg"] = [4, "M", 4, "M", 4, "M", 4, "M", 4, "M"]
    critic = tiny.load(tiny.write(tmp_path, config), card.load())
    assert tuple(critic.losses(tiny.images(), tiny.images(seed=1))) == card.losses
