"""BigGAN-deep against pytorch-pretrained-biggan, whose checkpoints it has to read and whose images it has to make."""

import pytest
import torch
from pytorch_pretrained_biggan import BigGAN as Reference
from pytorch_pretrained_biggan import BigGANConfig

from dragoman.errors import InputError, PackageError
from dragoman_biggan.deep import DeepGenerator
from dragoman_biggan.deep_config import DeepConfig
from dragoman_biggan.fixed_spectral import FixedSpectralLinear

# On the grid, off the grid, and where the package's two defects show.
TRUNCATIONS = (1.0, 0.5, 0.4, 0.58, 0.14, 0.94, 0.47, 0.425, 0.013)


def same_weights(reference, config):
    with torch.device("meta"):
        network = DeepGenerator(config)
    network = network.to_empty(device="cpu")
    network.load_state_dict(reference.state_dict())
    return network


def inputs(config, size=3):
    z = torch.randn(size, config.z_dim, generator=torch.Generator().manual_seed(1))
    return z, torch.tensor([3, 0, config.num_classes - 1])[:size]


def assert_agree(reference, network, config, truncations, size=3):
    z, labels = inputs(config, size)
    for truncation in truncations:
        one_hot = torch.nn.functional.one_hot(labels, config.num_classes).float()
        with torch.no_grad():
            expected = reference(truncation * z, one_hot, truncation)
            found = network(truncation * z, reference.embeddings.weight.T[labels], truncation, "pip")
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_images_equal_the_reference_at_every_truncation(make, deep):
    assert_agree(deep.reference, deep.expert.network, make.deep_config, TRUNCATIONS)


def test_images_equal_the_reference_without_attention_and_with_another_geometry(make):
    config = DeepConfig(
        output_dim=8,
        z_dim=3,
        channel_width=5,
        num_classes=4,
        layers=((True, 16, 8), (False, 8, 4), (False, 4, 2), (False, 2, 1)),
        attention_layer_position=9,
        eps=1e-2,
        n_stats=11,
    )
    reference = make.random_reference(config)
    assert not any("gamma" in name for name in reference.state_dict())
    assert_agree(reference, same_weights(reference, config), config, TRUNCATIONS)


def test_images_equal_the_reference_at_the_published_size(make):
    config = DeepConfig.published(128)
    reference = make.random_reference(config)
    assert_agree(reference, same_weights(reference, config), config, (0.425,), size=1)


@pytest.mark.parametrize("resolution", [128, 256, 512])
def test_published_configurations_have_the_published_tensors(resolution):
    config = DeepConfig.published(resolution)
    with torch.device("meta"):
        found = DeepGenerator(config)
        expected = Reference(BigGANConfig.from_dict(config.to_dict()))
    shapes = {name: value.shape for name, value in found.state_dict().items()}
    assert shapes == {name: value.shape for name, value in expected.state_dict().items()}
    # 201, 223 and 225 MB in float32, in 506, 602 and 698 tensors
    counts = {128: (50_388_609, 506), 256: (55_880_833, 602), 512: (56_163_905, 698)}
    assert (sum(p.numel() for p in found.parameters()), len(shapes)) == counts[resolution]


def test_images_do_not_depend_on_the_batch(make, deep):
    z, labels = inputs(make.deep_config)
    embedding = deep.expert.encode(labels, "class_embedding")
    with torch.no_grad():
        together = deep.expert.network(z, embedding, 0.7)
        apart = torch.cat([deep.expert.network(z[i : i + 1], embedding[i : i + 1], 0.7) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_gradients_equal_the_reference(make, deep):
    z, labels = inputs(make.deep_config)
    gradients = []
    for render in (deep.reference.generator, lambda c, t: deep.expert.network(*c.split(make.deep_config.z_dim, 1), t)):
        condition = torch.cat([z, deep.expert.encode(labels, "class_embedding")], dim=1).requires_grad_()
        render(condition, 0.5).square().sum().backward()
        gradients.append(condition.grad)
    assert gradients[0].abs().max() > 0.1
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-3, rtol=1e-4)


def test_truncation_out_of_range_is_refused(make, deep):
    z, labels = inputs(make.deep_config)
    embedding = deep.expert.encode(labels, "class_embedding")
    for truncation in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(InputError, match="truncation"):
            deep.expert.network(z, embedding, truncation)


def test_configurations_make_a_round_trip(make):
    for config in (make.deep_config, DeepConfig.published(512)):
        assert DeepConfig.from_dict(config.to_dict()) == config
    # Absent keys mean the 128-pixel model, as in the package that wrote the format.
    package = BigGANConfig()
    assert DeepConfig.from_dict({}) == DeepConfig.from_dict(package.to_dict()) == DeepConfig.published(128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [[True, 16, 8], [True, 4, 1]]}, "without gaps"),
        ({"layers": [[True, 16, 4], [True, 4, 2], [True, 2, 1]]}, "nor halves"),
        ({"layers": [[True, 16]]}, r"layer \[True, 16\]"),
        ({"layers": [["yes", 16, 8]]}, "'yes'"),
        ({"layers": "many"}, "layers"),
        ({"layers": []}, "layers"),
        ({"layers": [[False, 16, 16]] * 1000}, "layers"),
        ({"output_dim": 64}, "output_dim 64"),
        ({"z_dim": 0}, "some z"),
        ({"z_dim": "128"}, "z_dim"),
        ({"num_classes": -1}, "num_classes"),
        ({"n_stats": 1}, "n_stats"),
        ({"channel_width": 2}, "channel_width"),
        ({"channel_width": True}, "channel_width"),
        ({"attention_layer_position": None}, "attention_layer_position"),
        ({"attention_layer_position": 6}, "fewer than 8 channels"),
        ({"eps": 0.0}, "eps"),
        ({"eps": float("nan")}, "eps"),
    ],
)
def test_configurations_that_cannot_be_are_refused(change, message, make):
    layers = [[True, 16, 8], [False, 8, 8], [True, 8, 4], [False, 4, 4], [True, 4, 2], [False, 2, 1], [False, 1, 1]]
    sound = make.deep_config.to_dict() | {"layers": layers, "attention_layer_position": 0}
    DeepConfig.from_dict(sound)
    with pytest.raises(PackageError, match=message):
        DeepConfig.from_dict(sound | change)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_spectral_norms_of_half_precision_weights_are_summed_exactly(dtype):
    layer = FixedSpectralLinear(200, 100)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for value in layer.state_dict().values():
            value.normal_(std=0.1)
    layer = layer.to(dtype)
    u, weight, v = (value.detach().double() for value in (layer.weight_u, layer.weight_orig, layer.weight_v))
    assert layer.sigma().item() == pytest.approx((u @ weight @ v).item(), rel=1e-4)
