import pytest
import torch

from dragoman_codec.architectures import ARCHITECTURES, network_of
from dragoman_codec.expert import Codec
from dragoman_codec.train import family_of, film_of
from dragoman_codec.training import RateDistortion
from dragoman_yoto.conditioned import Conditioned

FAMILY = family_of(0.001, 0.1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _picture(height, width, channels=3, seed=0):
    """Smooth colours with some texture, uint8."""
    coarse = torch.rand(1, channels, 4, 4, generator=seeded(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
    noise = 0.03 * torch.randn(channels, height, width, generator=seeded(seed + 1))
    return ((smooth + noise).clamp(0, 1) * 255).round().byte()


def _codec(architecture):
    """A codec whose latents and side information carry something; training it would take too long."""
    config = {"architecture": architecture, "N": 8, "M": 12}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network_of(config)
        film = {**film_of(network), "strength": 0.1}
        _train_briefly(network)
        conditioned = Conditioned(network, FAMILY, **film)
    network.entropy_bottleneck.update()
    return Codec({**config, "family": FAMILY.to_dict(), "film": film}, network, conditioned)


def _train_briefly(network):
    method = RateDistortion(network, weight=0.02)
    (phase,) = method.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=1e-3)
    images = torch.stack([_picture(64, 64, seed=seed) for seed in range(4)]).float() / 255
    network.start(images)
    for step in range(60):
        losses = method("codec", {"image": images}, seeded(step))
        (losses["rate"] + 0.02 * losses["distortion"]).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="session", params=list(ARCHITECTURES))
def codec(request):
    return _codec(request.param)


@pytest.fixture(scope="session")
def scale_codec():
    return _codec("scale-hyperprior")


@pytest.fixture(scope="session")
def picture():
    return _picture
