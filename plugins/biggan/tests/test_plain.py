"""The plain family against a small restatement of the published equations, written on tensors and key names alone."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from dragoman_biggan.plain import Discriminator, Generator, PlainConfig

# Counted by others: compare_gan's test of its TensorFlow implementation, BigGAN at 128 pixels.
PUBLISHED_PARAMETERS = {"G": 70_433_988, "D": 87_982_370}


class Restated:
    """Evaluation of a state dict in the layout of BigGAN-PyTorch, in float64."""

    def __init__(self, network, bn_eps=1e-5):
        self.state = {name: value.double() for name, value in network.state_dict().items()}
        self.bn_eps = bn_eps

    def has(self, name):
        return f"{name}.weight" in self.state

    def spectral(self, name):
        """W / sigma after one power iteration from the stored row vector u0 (Miyato et al. 2018, algorithm 1)."""
        weight, u = self.state[f"{name}.weight"], self.state[f"{name}.u0"][0]
        matrix = weight.reshape(weight.shape[0], -1)
        v = matrix.T @ u
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
        return weight / (u @ matrix @ v)

    def linear(self, name, x):
        return x @ self.spectral(name).T + self.state.get(f"{name}.bias", 0)

    def conv(self, name, x):
        weight = self.spectral(name)
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def standing(self, name, x):
        mean, var = self.state[f"{name}.stored_mean"], self.state[f"{name}.stored_var"]
        return (x - mean[:, None, None]) / (var[:, None, None] + self.bn_eps).sqrt()

    def conditional_norm(self, name, x, y):
        gain, bias = self.linear(f"{name}.gain", y), self.linear(f"{name}.bias", y)
        return self.standing(name, x) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]

    def attention(self, name, x):
        """Self-attention with halved keys and values (Zhang et al. 2018), one position after the other."""
        batch, channels, height, width = x.shape
        query = self.conv(f"{name}.theta", x).reshape(batch, channels // 8, -1)
        key = F.max_pool2d(self.conv(f"{name}.phi", x), 2).reshape(batch, channels // 8, -1)
        value = F.max_pool2d(self.conv(f"{name}.g", x), 2).reshape(batch, channels // 2, -1)
        weights = torch.softmax(torch.einsum("bcq,bck->bqk", query, key), dim=2)
        mixed = torch.einsum("bqk,bck->bcq", weights, value).reshape(batch, channels // 2, height, width)
        return x + self.state[f"{name}.gamma"] * self.conv(f"{name}.o", mixed)

    def generate(self, z, embedding, parts):
        chunks = z.double().chunk(parts, dim=1)
        x = self.linear("linear", chunks[0])
        x = x.reshape(len(z), -1, 4, 4)
        for block in range(parts - 1):
            y = torch.cat([embedding.double(), chunks[block + 1]], dim=1)
            x = self.generator_block(f"blocks.{block}.0", x, y)
            if self.has(f"blocks.{block}.1.theta"):
                x = self.attention(f"blocks.{block}.1", x)
        gain, bias = self.state["output_layer.0.gain"], self.state["output_layer.0.bias"]
        x = self.standing("output_layer.0", x) * gain[:, None, None] + bias[:, None, None]
        return self.conv("output_layer.2", x.clamp(min=0)).tanh()

    def generator_block(self, name, x, y):
        h = self.conditional_norm(f"{name}.bn1", x, y).clamp(min=0)
        h, x = (t.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) for t in (h, x))
        h = self.conv(f"{name}.conv1", h)
        h = self.conv(f"{name}.conv2", self.conditional_norm(f"{name}.bn2", h, y).clamp(min=0))
        return h + self.conv(f"{name}.conv_sc", x)

    def judge(self, images, labels, blocks, downsamples):
        x = images.double()
        for block in range(blocks):
            x = self.discriminator_block(f"blocks.{block}.0", x, first=block == 0, down=block < downsamples)
            if self.has(f"blocks.{block}.1.theta"):
                x = self.attention(f"blocks.{block}.1", x)
        h = x.clamp(min=0).sum(dim=(2, 3))
        return self.linear("linear", h)[:, 0] + (self.spectral("embed")[labels] * h).sum(dim=1)

    def discriminator_block(self, name, x, *, first, down):
        """In the published order: only the first block pools its shortcut before the 1x1 convolution."""

        def halve(t):
            return (t[..., ::2, ::2] + t[..., 1::2, ::2] + t[..., ::2, 1::2] + t[..., 1::2, 1::2]) / 4 if down else t

        h = self.conv(f"{name}.conv1", x if first else x.clamp(min=0))
        h = halve(self.conv(f"{name}.conv2", h.clamp(min=0)))
        if not self.has(f"{name}.conv_sc"):
            return h + halve(x)
        shortcut = self.conv(f"{name}.conv_sc", halve(x)) if first else halve(self.conv(f"{name}.conv_sc", x))
        return h + shortcut


def inputs(config, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, config.z_dim, generator=generator), torch.tensor([0, 4, 2])


@pytest.mark.parametrize("attention", [(), (16,), (8, 32)])
@pytest.mark.parametrize("image_channels", [1, 3])
def test_the_generator_computes_the_published_equations(attention, image_channels, make):
    options = make.plain_config.to_dict() | {"attention": attention, "image_channels": image_channels, "bn_eps": 1e-3}
    config = PlainConfig.from_dict(options | {"channels": 8})
    network = make.random_plain(config)
    z, labels = inputs(config)
    with torch.no_grad():
        images = network(z, network.shared(labels))
    assert images.shape == (3, image_channels, 32, 32)
    assert images.std() > 0.1
    expected = Restated(network, bn_eps=1e-3).generate(z, network.shared.weight[labels], parts=4)
    torch.testing.assert_close(images.double(), expected, atol=1e-4, rtol=0)


def test_the_discriminator_computes_the_published_equations(make):
    config = PlainConfig.from_dict(
        make.plain_config.to_dict() | {"channels": 8, "discriminator": [1, 2, 2, 4, 4], "image_channels": 3}
    )
    network = make.random_plain(config, network=Discriminator)
    assert "blocks.4.0.conv_sc.weight" not in network.state_dict()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = torch.tensor([0, 4, 2])
    with torch.no_grad():
        logits = network(images, labels)
    expected = Restated(network).judge(images, labels, blocks=5, downsamples=3)
    assert logits.std() > 0.1
    torch.testing.assert_close(logits.double(), expected, atol=1e-3, rtol=1e-4)


def test_the_published_128_pixel_networks_have_the_published_size():
    with torch.device("meta"):
        networks = {"G": Generator(PlainConfig.published(128)), "D": Discriminator(PlainConfig.published(128))}
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    assert counts == PUBLISHED_PARAMETERS


@pytest.mark.parametrize(
    ("resolution", "chunk", "attended", "widths"),
    [
        (128, 20, "blocks.3.1", (1536, 1536, 768, 384, 192, 96)),
        (256, 20, "blocks.4.1", (1536, 1536, 768, 768, 384, 192, 96)),
    ],
)
def test_published_generators_have_the_published_layout(resolution, chunk, attended, widths):
    config = PlainConfig.published(resolution)
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Generator(config).state_dict().items()}
    assert config.z_dim == chunk * len(widths)
    expected = {"shared.weight": (1000, 128)}

    def normed(name, *shape, bias=True):
        expected.update({f"{name}.weight": shape, f"{name}.u0": (1, shape[0]), f"{name}.sv0": (1,)})
        expected.update({f"{name}.bias": shape[:1]} if bias else {})

    normed("linear", 16 * widths[0], chunk)
    for index, (a, b) in enumerate(itertools.pairwise(widths)):
        block = f"blocks.{index}.0"
        normed(f"{block}.conv1", b, a, 3, 3)
        normed(f"{block}.conv2", b, b, 3, 3)
        normed(f"{block}.conv_sc", b, a, 1, 1)
        for norm, width in (("bn1", a), ("bn2", b)):
            expected.update({f"{block}.{norm}.stored_mean": (width,), f"{block}.{norm}.stored_var": (width,)})
            normed(f"{block}.{norm}.gain", width, 148, bias=False)
            normed(f"{block}.{norm}.bias", width, 148, bias=False)
    width = widths[int(attended[7]) + 1]
    for part, (out, into) in {"theta": (8, 1), "phi": (8, 1), "g": (2, 1), "o": (1, 2)}.items():
        normed(f"{attended}.{part}", width // out, width // into, 1, 1, bias=False)
    expected[f"{attended}.gamma"] = ()
    expected.update({f"output_layer.0.{name}": (96,) for name in ("gain", "bias", "stored_mean", "stored_var")})
    normed("output_layer.2", 3, 96, 3, 3)
    assert shapes == expected


def test_each_part_of_z_goes_to_its_own_layer(make):
    network = make.random_plain(make.plain_config)
    z, labels = inputs(make.plain_config)
    seen = {}
    for name, module in (("linear", network.linear), *((f"block {i}", b[0]) for i, b in enumerate(network.blocks))):
        module.register_forward_hook(lambda _, given, __, name=name: seen.update({name: given[-1]}))
    with torch.no_grad():
        embedding = network.shared(labels)
        network(z, embedding)
    assert torch.equal(seen["linear"], z[:, :3])
    for block in range(3):
        condition = torch.cat([embedding, z[:, 3 * block + 3 : 3 * block + 6]], dim=1)
        assert torch.equal(seen[f"block {block}"], condition)


def test_evaluation_is_a_function_of_the_checkpoint_alone(make):
    network = make.random_plain(make.plain_config)
    z, labels = inputs(make.plain_config)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        first, second = (network(z, network.shared(labels)) for _ in range(2))
    assert torch.equal(first, second)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_training_stores_statistics_and_approaches_the_spectral_norm(make):
    network = make.random_plain(make.plain_config).train()
    z, labels = inputs(make.plain_config)
    norm = network.blocks[0][0].bn1
    mean_before = norm.stored_mean.clone()
    given = []
    norm.register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    with torch.no_grad():
        network(z, network.shared(labels))
        assert torch.allclose(norm.stored_mean, 0.9 * mean_before + 0.1 * given[0].mean(dim=(0, 2, 3)), atol=1e-6)
        for _ in range(30):
            network(z, network.shared(labels))
    for name in ("linear", "blocks.0.0.conv1", "output_layer.2"):
        layer = network.get_submodule(name)
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert layer.sv0.item() == pytest.approx(largest.item(), rel=1e-2)


def test_images_do_not_depend_on_the_batch_with_standing_statistics(make):
    network = make.random_plain(make.plain_config)
    z, labels = inputs(make.plain_config)
    with torch.no_grad():
        together = network(z, network.shared(labels))
        apart = torch.cat([network(z[i : i + 1], network.shared(labels[i : i + 1])) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_attention_starts_as_the_identity():
    config = PlainConfig(resolution=16, channels=8, generator=(2, 2, 1), z_dim=6, shared_dim=4, num_classes=3)
    attended = PlainConfig.from_dict(config.to_dict() | {"attention": [8]})
    fresh = Generator(attended)
    plain = Generator(config)
    plain.load_state_dict({name: v for name, v in fresh.state_dict().items() if not name.startswith("blocks.0.1")})
    z, _ = inputs(config)
    embedding = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(fresh.eval()(z, embedding), plain.eval()(z, embedding))


def test_configurations_make_a_round_trip_beside_other_entries(make):
    for config in (make.plain_config, PlainConfig.published(256)):
        assert PlainConfig.from_dict(config.to_dict() | {"note": "something else"}) == config
