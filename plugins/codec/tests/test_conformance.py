import pytest
import torch

from dragoman.testing import expert_tests, method_tests
from dragoman_codec.architectures import network_of
from dragoman_codec.training import RateDistortion

IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(scale_codec, tmp_path):
    scale_codec.save_pretrained(tmp_path / "codec")
    return tmp_path / "codec"


@pytest.fixture
def training():
    return RateDistortion(network_of({"architecture": "scale-hyperprior", "N": 8, "M": 12}))


@pytest.fixture
def batch():
    return {"image": IMAGES}


test_codec = expert_tests(
    "codec", checkpoint="folder", inputs=IMAGES, skip={"gradient": "encode rounds; what decode does is tested below"}
)


def test_a_gradient_flows_from_the_picture_to_the_latents(scale_codec):
    latents = scale_codec.encode(IMAGES, "latent").requires_grad_()
    scale_codec.decode(latents, "latent").sum().backward()
    assert latents.grad.abs().sum() > 0


test_training = method_tests("rate-distortion", "training", "batch")
