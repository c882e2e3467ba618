import pytest
import torch

from dragoman_style.expert import StyleTransfer
from dragoman_style.eye import config_of, expert_of
from dragoman_style.train import FILM, family_of
from dragoman_style.training import StyleTraining
from dragoman_timm.architecture import build_network

CONFIG = {"styles": 2, "width": 4, "blocks": 1, "names": ["waves", "dots"]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=3, height=32, width=32, seed=0):
    return torch.rand(count, 3, height, width, generator=seeded(seed))


@pytest.fixture(scope="session")
def eye():
    """A small VGG with random weights, which sees enough for tests."""
    config = config_of(classes=4, size=32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return expert_of(config, build_network(config))


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StyleTransfer.make({**CONFIG, "family": family_of().to_dict(), "film": FILM})


@pytest.fixture
def make_method(eye):
    def make():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = StyleTransfer.make({**CONFIG, "family": family_of().to_dict(), "film": FILM}).network
        return StyleTraining(network.requires_grad_(True), eye, [images(2, seed=5), images(2, seed=6) ** 2])

    return make
