"""The style model that comes with the distribution, judged by the eye that it was trained with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("skimage")

from dragoman_codec.photographs import UNSEEN, photographs
from dragoman_style.expert import StyleTransfer
from dragoman_style.eye import config_of, expert_of
from dragoman_style.monotony import crops_of, judge_of, losses_over
from dragoman_timm.architecture import build_network

EYE = Path(__file__).with_name("data") / "eye.safetensors"


@pytest.fixture(scope="module")
def model():
    return StyleTransfer.from_pretrained("style/mini")


@pytest.fixture(scope="module")
def crops():
    return crops_of(photographs(UNSEEN), 64)


@pytest.fixture(scope="module")
def judge(model):
    """The convolutions of the small VGG, and the Gram matrices of the styles and their scales."""
    tensors = load_file(EYE)
    config = config_of(classes=4, size=64)
    network = build_network(config)
    seen = {name: value for name, value in tensors.items() if not name.startswith(("gram.", "scale."))}
    network.load_state_dict(seen, strict=False)
    return judge_of(model, expert_of(config, network), tensors)


def test_each_loss_falls_as_its_own_coefficient_rises(model, judge, crops):
    """At each step of a grid over the whole range of each coefficient."""
    found = losses_over(model, judge, crops)
    assert len(found) == 5
    for name, losses in found.items():
        assert losses == sorted(losses, reverse=True), (name, losses)
        assert losses[-1] < 0.6 * losses[0], (name, losses)


@torch.no_grad()
def test_each_style_is_nearest_to_its_own_picture(model, judge, crops):
    """Over all layers together; the lowest ones of two of the styles are alike."""
    names = model.config["names"]
    for number, name in enumerate(names):
        made = model.decode(crops, "photo", style=name)
        distances = [_distance(judge, made, crops, other) for other in range(len(names))]
        assert distances.index(min(distances)) == number, (name, distances)


def _distance(judge, made, crops, style):
    losses = judge.judge(made, crops, torch.full((len(crops),), style))
    return sum(float(loss.mean()) for name, loss in losses.items() if name.startswith("style."))
