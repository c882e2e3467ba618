"""A BigGAN of a few thousand weights, and a classifier that nobody trained."""

import pytest
import torch
from torch import nn

from dragoman import Expert, Port
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.plain import Generator, PlainConfig
from dragoman_tuning.classifier import Classifier

CONFIG = PlainConfig(
    resolution=32,
    channels=4,
    generator=(2, 2, 1, 1),
    discriminator=(1, 2, 2, 2),
    z_dim=8,
    shared_dim=5,
    num_classes=10,
    attention=(),
    image_channels=1,
)


class Stranger(Expert):
    """Random features of images, and logits linear in them."""

    reads = "image"

    def __init__(self, seed=0):
        super().__init__({"labels": ["Ant", "bee", "cat"]})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 6), nn.Tanh())
            self.head = nn.Linear(6, 3)
        self.freeze()

    @classmethod
    def describe(cls, config):
        ports = (Port("features", "vector", (6,), gives=True), Port("logits", "vector", (3,), gives=True))
        return {port.name: port for port in ports}

    def encode(self, inputs, port, *, generator=None):
        features = self.body(inputs)
        return features if port == "features" else 5 * self.head(features)


@pytest.fixture(scope="session")
def gan():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Generator(CONFIG)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
    return BigGAN(CONFIG.to_dict(), network)


@pytest.fixture(scope="session")
def critic():
    return Classifier("stranger", Stranger())


@pytest.fixture(scope="session")
def other_critic():
    return Classifier("other", Stranger(seed=5))
