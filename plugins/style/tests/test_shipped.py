"""The style model that comes with the distribution, judged by the eye that it was trained with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("skimage")

from dragoman_codec.photographs import UNSEEN, photographs
from dragoman_style.expert import StyleTransfer
from dragoman_style.eye import config_of, expert_of
from dragoman_style.monotony import losses_over
from dragoman_style.training import StyleTraining
from dragoman_timm.architecture import build_network

EYE = Path(__file__).with_name("data") / "eye.safetensors"


@pytest.fixture(scope="module")
def model():
    return StyleTransfer.from_pretrained("style/mini")


@pytest.fixture(scope="module")
def crops():
    places = ((40, 60), (150, 200))
    cut = [picture[:, top : top + 64, left : left + 64] for picture in photographs(UNSEEN) for top, left in places]
    return torch.stack(cut).float() / 255


@pytest.fixture(scope="module")
def judge(model):
    """The convolutions of the small VGG, and the Gram matrices of the styles."""
    tensors = load_file(EYE)
    config = config_of(classes=4, size=64)
    network = build_network(config)
    network.load_state_dict({name: value for name, value in tensors.items() if "gram" not in name}, strict=False)
    grams = {name.removeprefix("gram."): value for name, value in tensors.items() if "gram" in name}
    return StyleTraining(model.network, expert_of(config, network), grams)


def test_losses_fall_as_their_own_coefficients_rise(model, judge, crops):
    """Over the grid for the two upper layers, from end to end for the content; the lower layers of this small model do
    not follow reliably, which the documentation says."""
    found = losses_over(model, judge, crops, (0.1, 1.0, 10.0))
    for name in ("style.conv3", "style.conv4"):
        assert found[name] == sorted(found[name], reverse=True), (name, found[name])
    assert found["content"][2] < 0.98 * found["content"][0]
    assert found["style.conv3"][2] < 0.8 * found["style.conv3"][0]


@torch.no_grad()
def test_each_style_is_nearest_to_its_own_picture(model, judge, crops):
    names = model.config["names"]
    for number, name in enumerate(names):
        made = model.decode(crops, "photo", style=name)
        distances = [
            float(judge.judge(made, crops, torch.full((len(crops),), other))["style.conv1"].mean())
            for other in range(len(names))
        ]
        assert distances.index(min(distances)) == number, (name, distances)
