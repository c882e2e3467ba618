"""StyleGAN2 at 32 pixels: what its card says, with every port and knob of the large ones."""

import pytest
import torch

from dragoman.endpoint import load_expert
from dragoman.metrics import diversity, frechet_distance
from dragoman_minizoo.judging import reference_images

LABEL = torch.arange(10).repeat_interleave(50)


@pytest.fixture(scope="module")
def expert():
    return load_expert("stylegan2-fashion")


@pytest.fixture(scope="module")
def judge():
    return load_expert("judge-fashion")


@pytest.fixture(scope="module")
def made(expert):
    return expert.decode(LABEL, "label", generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def real():
    data = reference_images()
    return data.images.float() / 255, data.labels


def test_garments_are_of_their_classes(made, judge):
    assert (judge.labels(made) == LABEL).float().mean() > 0.7


def test_they_are_closer_to_real_ones_than_noisy_ones_are(made, real, judge):
    noisy = (real[0] + 0.1 * torch.randn(real[0].shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    of_real, of_made, of_noisy = (judge.encode(images, "features") for images in (real[0], made, noisy))
    assert frechet_distance(of_real, of_made) < frechet_distance(of_real, of_noisy)


def test_truncation_trades_variety_for_the_typical(expert, made, judge):
    typical = expert.decode(LABEL, "label", truncation=0.5, generator=torch.Generator().manual_seed(0))
    spread = [diversity(judge.encode(images, "features").view(10, 50, -1)).mean() for images in (made, typical)]
    assert spread[1] < 0.95 * spread[0]


def test_a_style_is_decoded_alike_at_every_port(expert):
    z = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([1, 5, 8, 9])
    image = expert.decode(z, "z", label=label)
    styles = expert.generator.styles(z, label)
    assert torch.allclose(expert.decode(styles[:, 0], "w"), image, atol=1e-6)
    assert torch.allclose(expert.decode(styles.flatten(1), "w_plus"), image, atol=1e-6)


def test_the_discriminator_prefers_real_images_to_noisy_ones(expert, real):
    images, labels = real
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    clean, dirty = (expert.discriminator(batch[::10] * 2 - 1, labels[::10]) for batch in (images, noisy))
    assert (clean > dirty).float().mean() > 0.9
