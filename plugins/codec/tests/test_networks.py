import math

import pytest
import torch
from torch.nn import functional

from dragoman.errors import InputError
from dragoman.training.crops import Crops
from dragoman_codec.architectures import ARCHITECTURES, network_of
from dragoman_codec.bottleneck import EntropyBottleneck
from dragoman_codec.coding import Decoder, Encoder
from dragoman_codec.gaussian import LARGEST_LEVEL, LEAST_SCALE, GaussianConditional, scale_of_level
from dragoman_codec.gdn import GDN
from dragoman_codec.lapped import LappedHyperprior
from dragoman_codec.training import RateDistortion


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_gdn_divides_and_its_inverse_multiplies():
    maps = torch.randn(2, 3, 4, 4)
    divided = GDN(3)(maps)
    torch.testing.assert_close(divided, maps / (1 + 0.1 * maps.square()).sqrt())
    torch.testing.assert_close(GDN(3, inverse=True)(maps), maps * (1 + 0.1 * maps.square()).sqrt())


def test_gdn_mixes_channels_and_stays_positive():
    gdn = GDN(2)
    gdn.gamma.data = torch.tensor([[-5.0, 1.0], [0.0, 2.0]])
    gdn.beta.data = torch.tensor([-1.0, 3.0])
    maps = torch.randn(1, 2, 3, 3)
    first = maps[:, 0] / (1e-6 + maps[:, 1].square()).sqrt()
    torch.testing.assert_close(gdn(maps)[:, 0], first, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(gdn(maps)[:, 1], maps[:, 1] / (9 + 4 * maps[:, 1].square()).sqrt(), rtol=1e-4, atol=1e-4)
    # What lies below its bound can come back, but not go farther down.
    (-gdn(maps).abs().sum()).backward()
    assert (gdn.beta.grad[0] <= 0).all()


def test_the_bottleneck_is_a_density_and_its_tables_agree_with_it():
    bottleneck = EntropyBottleneck(3).double()
    bottleneck.quantiles.data[:, 0, 1] = torch.tensor([0.0, 0.3, -2.4])
    grid = torch.arange(-200, 201, dtype=torch.float64).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    points = grid + bottleneck.medians.view(1, 3, 1, 1)
    bits = bottleneck(points)[0, :, 0]
    assert bits.max() == 16
    mass = torch.exp2(-bits).where(bits < 16, 0)
    torch.testing.assert_close(mass.sum(dim=1), torch.ones(3, dtype=torch.float64), atol=1e-3, rtol=0)
    torch.testing.assert_close(bottleneck.round(points + 0.4), points)
    bottleneck.update()
    for channel, (first, frequencies) in enumerate(bottleneck.tables()):
        inside = mass[channel, first + 200 : first + 200 + len(frequencies)]
        assert inside.sum() > 1 - 1e-3
        assert frequencies.sum() == 2**16 - 1
        torch.testing.assert_close(frequencies / 2**16, inside, atol=2e-3, rtol=0)


def test_the_bottleneck_keeps_channels_and_samples_apart():
    bottleneck = EntropyBottleneck(2)
    values = torch.randn(3, 2, 4, 5)
    for sample in range(3):
        torch.testing.assert_close(bottleneck(values)[sample], bottleneck(values[sample : sample + 1])[0])
    moved = values.clone()
    moved[:, 1] += 1
    assert torch.equal(bottleneck(moved)[:, 0], bottleneck(values)[:, 0])


def test_gaussian_mass_is_that_of_the_unit_interval():
    residuals, scales = 5 * torch.randn(100), torch.rand(100) * 4 + 0.2
    normal = torch.distributions.Normal(torch.zeros(100, dtype=torch.float64), scales.double())
    expected = normal.cdf(residuals + 0.5) - normal.cdf(residuals - 0.5)
    found = GaussianConditional()(residuals, scales).double()
    torch.testing.assert_close(found, -expected.log2().clamp(min=-24), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("deviations", [5, 20, 300])
def test_latents_far_out_cost_what_the_coder_needs_and_learn_better(deviations):
    scales = torch.tensor([0.11, 1.0, 8.0], requires_grad=True)
    residuals = (deviations * scales.detach() + 0.5).requires_grad_()
    bits = GaussianConditional()(residuals, scales)
    assert (bits <= 24).all()
    bits.sum().backward()
    # Bits of a Gaussian's tail are d^2 / 2s^2 / ln 2: they fall as the scale rises, and rise with the distance.
    slope = deviations / scales.detach() / math.log(2)
    torch.testing.assert_close(residuals.grad, slope, rtol=0.1, atol=0)
    torch.testing.assert_close(scales.grad, -deviations * slope, rtol=0.15, atol=0)


def test_side_information_far_out_learns_better():
    bottleneck = EntropyBottleneck(1)
    values = torch.tensor([-400.0, 400.0]).view(2, 1, 1, 1).requires_grad_()
    bits = bottleneck(values)
    assert (bits == 16).all()
    bits.sum().backward()
    assert values.grad[0] < -0.01
    assert values.grad[1] > 0.01


def test_scales_are_coded_to_two_percent():
    scales = torch.logspace(-3, 3, 500, dtype=torch.float64)
    coded = scale_of_level(GaussianConditional.levels(scales))
    within = (scales > LEAST_SCALE) & (scales < 256)
    assert ((coded / scales)[within].log().abs() < 0.022).all()
    assert coded.min() == LEAST_SCALE
    assert GaussianConditional.levels(scales).max() == LARGEST_LEVEL


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_losses_are_per_sample(architecture):
    network = network_of({"architecture": architecture, "N": 6, "M": 8})
    images = torch.rand(3, 3, 64, 128)
    made = network(images)
    assert made.images.shape == images.shape
    for row in range(3):
        torch.testing.assert_close(made.bits()[row], network(images[row : row + 1]).bits()[0], rtol=1e-4, atol=1e-2)
    losses = RateDistortion(network)("codec", {"image": images}, torch.Generator().manual_seed(0))
    noisy = network(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(losses["rate"], noisy.bits() / (64 * 128))
    expected = functional.mse_loss(255 * noisy.images, 255 * images, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses["distortion"], expected)


def test_crops_depend_on_the_generator_alone():
    pictures = [torch.randint(256, (3, 70, 90)).byte(), torch.randint(256, (3, 64, 64)).byte()]
    crops = Crops(pictures, 64)
    first, again = (crops.batch(5, torch.Generator().manual_seed(2))["image"] for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (5, 3, 64, 64)
    assert not torch.equal(first, crops.batch(5, torch.Generator().manual_seed(3))["image"])
    with pytest.raises(InputError, match="none that is smaller"):
        Crops(pictures, 128)


def test_channels_that_say_nothing_are_not_written():
    tables = [(3, torch.tensor([65535.0])), (-1, torch.tensor([1.0, 65533.0, 1.0])), (0, torch.tensor([65535.0]))]
    side = torch.stack([torch.full((2, 2), 3), torch.tensor([[-1, 0], [1, 0]]), torch.zeros(2, 2)]).int()
    encoder = Encoder()
    encoder.side(side, tables)
    assert len(encoder.message()) <= 8
    assert torch.equal(Decoder(encoder.message()).side(tables, (3, 2, 2)), side)


def test_a_lapped_transform_begins_as_principal_components():
    """As many latents as a block has values, and no random weights, give the image back but for its border."""
    network = LappedHyperprior(192, 768)
    coarse = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = functional.interpolate(coarse, (128, 128), mode="bicubic").clamp(0, 1)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data.zero_()
    network.start(images)
    with torch.no_grad():
        made = network.g_s(network.g_a(images))
    torch.testing.assert_close(made, images, atol=0.02, rtol=0)
    few = LappedHyperprior(16, 24)
    few.start(images)
    latents = few.g_a(images)
    _, scales = few.prior(torch.zeros(1, few.S, 2, 2))
    assert (latents.abs().mean(dim=(0, 2, 3)) / scales.mean(dim=(0, 2, 3))).max() < 1.5
    with torch.no_grad():
        assert (few.g_s(latents) - images).square().mean() < 0.1 * images.var()
