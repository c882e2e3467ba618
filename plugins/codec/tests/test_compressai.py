"""Parity with CompressAI, where it is installed: its checkpoints compute here what they compute there."""

import json

import pytest
import torch
from safetensors.torch import save_file

from dragoman.operators import mend_torchvision
from dragoman_codec.expert import Codec

mend_torchvision()
models = pytest.importorskip("compressai.models", exc_type=ImportError)
SIZES = {"N": 8, "M": 12}
ARCHITECTURES = {"scale-hyperprior": models.ScaleHyperprior, "mean-scale-hyperprior": models.MeanScaleHyperprior}


@pytest.fixture(params=list(ARCHITECTURES))
def pair(request, tmp_path):
    """One of CompressAI's models with random weights that say something, and its checkpoint read by us."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = ARCHITECTURES[request.param](**SIZES).eval()
        for name, value in theirs.named_parameters():
            if name.endswith("weight"):
                value.data.mul_(2.5)
    theirs.update(force=True)
    state = {name: value.contiguous() for name, value in theirs.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": request.param, **SIZES}))
    return theirs, Codec.from_pretrained(tmp_path)


def images(height=128, width=64):
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@torch.no_grad()
def test_reconstruction_and_likelihoods_are_the_same(pair):
    theirs, ours = pair
    expected, found = theirs(images()), ours.network(images())
    torch.testing.assert_close(found.images, expected["x_hat"], atol=1e-5, rtol=1e-4)
    likelihoods = expected["likelihoods"]
    for bits, likelihood, most in ((found.y, likelihoods["y"], 24), (found.z, likelihoods["z"], 16)):
        torch.testing.assert_close(bits, -likelihood.log2().clamp(min=-most), atol=1e-3, rtol=1e-3)
        assert (bits < most).double().mean() > 0.5
    assert found.bits().min() > 100


@torch.no_grad()
def test_gradients_are_the_same(pair):
    theirs, ours = pair
    with torch.enable_grad():
        ours.network.requires_grad_(True)
        ours.network.g_s(ours.network.g_a(images())).square().sum().backward()
        theirs.g_s(theirs.g_a(images())).square().sum().backward()
    expected = {name: value.grad for name, value in theirs.named_parameters()}
    for name, value in ours.network.named_parameters():
        if name.startswith(("g_a.", "g_s.")):
            torch.testing.assert_close(value.grad, expected[name], atol=1e-3, rtol=1e-3)


def test_their_checkpoint_codes_here(pair):
    _, ours = pair
    picture = (images(100, 90)[0] * 255).byte()
    assert torch.equal(ours.decompress(ours.compress(picture)), ours.at().reconstruct(picture))
