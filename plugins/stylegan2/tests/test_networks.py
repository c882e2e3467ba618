"""The networks against their definition written with numpy and scipy, and their published sizes and names."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from dragoman_stylegan2.discriminator import Discriminator, minibatch_deviation
from dragoman_stylegan2.generator import Generator, random_noise, truncate
from dragoman_stylegan2.published import auto, published

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Slow:
    """Both networks for one sample, from a state dict, operation by operation."""

    def __init__(self, network):
        self.state = {name: value.double().numpy() for name, value in network.state_dict().items()}
        self.config = network.config

    def __getitem__(self, name):
        return self.state[name]

    def activate(self, x, bias, gain=2**0.5):
        x = x + bias.reshape(-1, *[1] * (x.ndim - 1))
        x = np.where(x < 0, 0.2 * x, x) * gain
        bound = self.config.conv_clamp * gain / np.sqrt(2)
        return np.clip(x, -bound, bound) if x.ndim == 3 else x

    def linear(self, name, x, rate=1.0):
        weight = self[f"{name}.weight"]
        return weight @ x * rate / np.sqrt(weight.shape[1]) + self[f"{name}.bias"] * rate

    def mapping(self, z, label, layers):
        parts = [] if z is None else [z]
        if label is not None:
            parts.append(self.linear("mapping.embed", np.eye(self.config.num_classes)[label]))
        x = np.concatenate([part / np.sqrt(np.mean(part**2) + 1e-8) for part in parts])
        for index in range(layers):
            x = self.activate(self.linear(f"mapping.fc{index}", x, rate=0.01), np.zeros(1))
        return x

    def conv(self, x, weight, up=False, down=False):
        if up:
            spread = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2]))
            spread[:, ::2, ::2] = x
            x = spread
        reach = weight.shape[-1] // 2
        pad = (reach + 2 * up + down, reach + up + down)
        x = np.stack([np.pad(plane, pad) for plane in x])
        if up or down:
            x = np.stack([convolve2d(plane, FILTER * (4 if up else 1), mode="valid") for plane in x])
        turn = slice(None) if up else slice(None, None, -1)
        out = [
            sum(convolve2d(plane, kernel[turn, turn], mode="valid") for plane, kernel in zip(x, kernels, strict=True))
            for kernels in weight
        ]
        return np.stack(out)[:, :: 1 + down, :: 1 + down]

    def styled(self, name, x, w, noise, up=False):
        weight = self[f"{name}.weight"] * self.linear(f"{name}.affine", w)[None, :, None, None]
        weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
        x = self.conv(x, weight, up=up) + noise * self[f"{name}.noise_strength"]
        return self.activate(x, self[f"{name}.bias"])

    def image(self, ws, noise="const"):
        image, layer = 0.0, 0
        for size in self.config.sizes:
            block = f"synthesis.b{size}"
            planes = {
                c: self[f"{block}.{c}.noise_const"] * (noise == "const")
                for c in ("conv0", "conv1")
                if size > 4 or c == "conv1"
            }
            if size == 4:
                x = self[f"{block}.const"]
            else:
                x = self.styled(f"{block}.conv0", x, ws[layer], planes["conv0"], up=True)
                layer += 1
                spread = np.zeros((len(image), size, size))
                spread[:, ::2, ::2] = image
                image = np.stack([convolve2d(np.pad(p, (2, 1)), 4 * FILTER, mode="valid") for p in spread])
            x = self.styled(f"{block}.conv1", x, ws[layer], planes["conv1"])
            layer += 1
            weight = self[f"{block}.torgb.weight"]
            styles = self.linear(f"{block}.torgb.affine", ws[layer]) / np.sqrt(weight.shape[1])
            shown = self.conv(x, weight * styles[None, :, None, None])
            image = image + np.clip(shown + self[f"{block}.torgb.bias"][:, None, None], -256, 256)
        return image

    def layer(self, name, x, gain=1.0, down=False, linear=False):
        weight = self[f"{name}.weight"]
        x = self.conv(x, weight / np.sqrt(weight[0].size), down=down)
        return x * gain if linear else self.activate(x, self[f"{name}.bias"], gain=np.sqrt(2) * gain)

    def features(self, image):
        x = image
        for size in self.config.sizes[:0:-1]:
            if size == self.config.resolution:
                x = self.layer(f"b{size}.fromrgb", x)
            residual = self.config.residual
            gain = np.sqrt(0.5) if residual else 1.0
            inner = self.layer(f"b{size}.conv1", self.layer(f"b{size}.conv0", x), gain=gain, down=True)
            x = inner + self.layer(f"b{size}.skip", x, gain=gain, down=True, linear=True) if residual else inner
        return x

    def logits(self, images, labels):
        maps = np.stack([self.features(image) for image in images])
        group = min(self.config.mbstd_group, len(images))
        out = []
        for index, one in enumerate(maps):
            members = maps[index % (len(maps) // group) :: len(maps) // group]
            deviation = np.sqrt(members.var(axis=0) + 1e-8).mean()
            x = self.layer("b4.conv", np.concatenate([one, np.full((1, 4, 4), deviation)]))
            x = self.linear("b4.out", self.activate(self.linear("b4.fc", x.reshape(-1)), np.zeros(1)))
            if labels is None:
                out.append(x[0])
            else:
                out.append(x @ self.mapping(None, labels[index], self.config.mapping_layers) / np.sqrt(len(x)))
        return np.array(out)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_generator_is_what_its_definition_says(classes, make):
    network = make.generator(num_classes=classes).double()
    slow = Slow(network)
    z = torch.randn(2, 5, generator=seeded(), dtype=torch.float64)
    labels = torch.tensor([2, 0]) if classes else None
    w = np.stack([slow.mapping(z[i].numpy(), labels[i].item() if classes else None, 2) for i in range(2)])
    styles = network.styles(z, labels)
    np.testing.assert_allclose(styles[:, 0].detach().numpy(), w, atol=1e-10)
    assert (styles == styles[:, :1]).all()
    different = styles + torch.randn(styles.shape, generator=seeded(1), dtype=torch.float64)
    for noise, planes in (("const", None), ("none", [None] * 5)):
        expected = np.stack([slow.image(ws.detach().numpy(), noise) for ws in different])
        found = network.synthesis(different, planes).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(network(z, labels).detach().numpy()[0], slow.image(np.tile(w[0], (6, 1))), atol=1e-9)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_discriminator_is_what_its_definition_says(classes, residual, make):
    network = make.discriminator(num_classes=classes, residual=residual, mbstd_group=2).double()
    images = torch.randn(4, 3, 16, 16, generator=seeded(), dtype=torch.float64)
    labels = torch.tensor([2, 0, 1, 1]) if classes else None
    expected = Slow(network).logits(images.numpy(), labels.tolist() if classes else None)
    np.testing.assert_allclose(network(images, labels).detach().numpy(), expected, atol=1e-9)


def test_the_image_shares_the_style_of_the_next_convolution(make):
    network = make.generator()
    assert network.config.num_ws == 6
    assert network.synthesis.noise_sizes == [4, 8, 8, 16, 16]
    ws = network.styles(torch.randn(1, 5, generator=seeded())).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.synthesis(ws).sum(), ws)
    assert (gradient.abs().sum(dim=2) > 0).all()


def test_the_clamp_bounds_every_convolution(make):
    network = make.generator(conv_clamp=0.01)
    assert network(torch.randn(2, 5, generator=seeded())).abs().max() <= 0.01 * 3 * 2


@pytest.mark.parametrize("group", [2, 4, 32])
def test_the_minibatch_statistic_takes_the_largest_groups_that_divide_the_batch(group):
    x = torch.randn(6, 4, 2, 2, generator=seeded())
    found = minibatch_deviation(x, group, channels=2)
    assert found.shape == (6, 6, 2, 2)
    members = {2: 2, 4: 3, 32: 6}[group]
    for row in range(6):
        same = x[row % (6 // members) :: 6 // members]
        for part in range(2):
            expected = (same[:, 2 * part : 2 * part + 2].var(dim=0, correction=0) + 1e-8).sqrt().mean()
            torch.testing.assert_close(found[row, 4 + part], expected.expand(2, 2))


def test_a_batch_gives_the_images_of_its_rows(make):
    network = make.generator()
    z = torch.randn(5, 5, generator=seeded())
    torch.testing.assert_close(network(z), torch.cat([network(row[None]) for row in z]), atol=1e-5, rtol=0)


def test_equalised_layers_start_with_unit_variance():
    torch.manual_seed(0)
    network = Generator(published("stylegan2").generator(8))
    w = network.mapping(torch.randn(64, 512, generator=seeded()))
    assert 0.5 < w.std() < 2
    assert network.mapping.fc0.weight.std().item() == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize(
    ("configuration", "resolution", "classes", "millions"),
    [
        (auto(64, 32), 64, 0, (22.24, 23.41)),
        (published("cifar"), 32, 10, (20.2, 23.1)),
        (published("stylegan2"), 128, 0, (29.3, 28.4)),
    ],
)
def test_published_configurations_have_the_published_sizes(configuration, resolution, classes, millions):
    with torch.device("meta"):
        networks = (
            Generator(configuration.generator(resolution, num_classes=classes)),
            Discriminator(configuration.discriminator(resolution, num_classes=classes)),
        )
    for network, expected in zip(networks, millions, strict=True):
        count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        assert count == pytest.approx(expected, abs=0.5 * 10 ** -len(str(expected).split(".")[1]))


@pytest.mark.parametrize(("name", "resolution"), [("paper256", 256), ("paper512", 512), ("paper1024", 1024)])
def test_tensors_have_the_official_names(name, resolution):
    with torch.device("meta"):
        generator = Generator(published(name).generator(resolution))
        discriminator = Discriminator(published(name).discriminator(resolution))
    assert set(generator.state_dict()) == expected_generator(resolution)
    assert set(discriminator.state_dict()) == expected_discriminator(resolution)
    bottom = generator.state_dict()
    assert bottom["synthesis.b4.const"].shape == (512, 4, 4)
    assert bottom[f"synthesis.b{resolution}.conv1.noise_const"].shape == (resolution, resolution)
    assert bottom["synthesis.b4.conv1.noise_strength"].shape == ()
    assert discriminator.state_dict()["b4.conv.weight"].shape == (512, 513, 3, 3)


def sizes(resolution):
    return [2**k for k in range(2, resolution.bit_length())]


def expected_generator(resolution):
    layer = ["weight", "noise_strength", "bias", "resample_filter", "noise_const", "affine.weight", "affine.bias"]
    names = {"synthesis.b4.const", "mapping.w_avg"}
    names |= {f"mapping.fc{i}.{kind}" for i in range(8) for kind in ("weight", "bias")}
    for size in sizes(resolution):
        convolutions = ("conv1",) if size == 4 else ("conv0", "conv1")
        block = f"synthesis.b{size}"
        names |= {f"{block}.resample_filter"} | {f"{block}.{c}.{part}" for c in convolutions for part in layer}
        names |= {f"{block}.torgb.{part}" for part in ("weight", "bias", "affine.weight", "affine.bias")}
    return names


def expected_discriminator(resolution):
    names = {f"b4.{layer}.{part}" for layer in ("conv", "fc", "out") for part in ("weight", "bias")}
    names |= {"b4.conv.resample_filter"}
    for size in sizes(resolution)[1:]:
        layers = ["conv0", "conv1", *(["fromrgb"] if size == resolution else [])]
        names |= {f"b{size}.{layer}.{part}" for layer in layers for part in ("weight", "bias", "resample_filter")}
        names |= {f"b{size}.{part}" for part in ("resample_filter", "skip.weight", "skip.resample_filter")}
    return names


def test_cifar_discriminators_have_no_shortcut_and_conditional_ones_a_mapping():
    with torch.device("meta"):
        names = set(Discriminator(published("cifar").discriminator(32, num_classes=10)).state_dict())
    assert not [name for name in names if "skip" in name]
    assert {"mapping.embed.weight", "mapping.fc0.weight", "mapping.fc7.bias"} <= names
    assert not [name for name in names if "w_avg" in name]


def test_half_precision_is_for_cuda_alone(make):
    network = make.generator(num_fp16_res=2)
    assert [block.halves for block in network.synthesis.blocks] == [False, True, True]
    z = torch.randn(2, 5, generator=seeded())
    full = make.generator(num_fp16_res=0)
    assert torch.equal(network(z), full(z))
    halved = make.generator(num_fp16_res=2).half()
    image = halved(z)
    assert image.dtype == torch.float32
    assert (image - network(z)).abs().max() < 0.05


def test_truncation_moves_styles_towards_their_mean(make):
    network = make.generator()
    ws, mean = network.styles(torch.randn(3, 5, generator=seeded())), network.mapping.w_avg
    assert torch.equal(truncate(ws, mean, 1.0), ws)
    torch.testing.assert_close(truncate(ws, mean, 0.0), mean.expand_as(ws))
    half = truncate(ws, mean, 0.5, cutoff=2)
    torch.testing.assert_close(half[:, :2], (ws[:, :2] + mean) / 2)
    assert torch.equal(half[:, 2:], ws[:, 2:])
    assert torch.equal(truncate(ws, mean, 0.3, cutoff=0), ws)
    torch.testing.assert_close(truncate(truncate(ws, mean, 0.5), mean, 0.4), truncate(ws, mean, 0.2))


def test_fresh_noise_changes_details_and_follows_its_generator(make):
    network = make.generator()
    z = torch.randn(2, 5, generator=seeded())
    first, again, other = (network(z, None, random_noise(network.synthesis, 2, seeded(seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
