import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import cdist, pdist
from torch import nn

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.metrics import (
    Gaussian,
    diversity,
    features,
    frechet_distance,
    kernel_distance,
    novelty,
    prdc,
)
from dragoman.metrics import _checks as checks
from dragoman.operators import mend_torchvision
from dragoman.ports import Port


def draw(n, width, seed=0, shift=0.0, scale=1.0):
    """Correlated features: a random linear map of normal ones."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    return scale * torch.randn(n, width, generator=generator, dtype=torch.float64) @ mixing / width**0.5 + shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_package_needs_no_oracle():
    script = (
        "import sys, dragoman.metrics; print([n for n in ('scipy', 'torchmetrics', 'sklearn') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# Fréchet distance


def frechet_by_scipy(real, fake):
    one, other = np.cov(real.T.numpy()), np.cov(fake.T.numpy())
    shift = real.mean(0).numpy() - fake.mean(0).numpy()
    return shift @ shift + np.trace(one + other - 2 * np.real(scipy.linalg.sqrtm(one @ other)))


@pytest.mark.parametrize(("n", "m", "width"), [(200, 300, 16), (500, 500, 64), (2, 50, 3)])
def test_frechet_distance_is_that_of_scipy(n, m, width):
    real, fake = draw(n, width), draw(m, width, seed=1, shift=0.3, scale=1.2)
    assert frechet_distance(real, fake) == pytest.approx(frechet_by_scipy(real, fake), rel=1e-6)


def test_frechet_distance_is_that_of_torchmetrics():
    # Imported here, because it takes seconds; torchmetrics.image leaves it out where torch-fidelity is missing.
    mend_torchvision()
    from torchmetrics.image.fid import FrechetInceptionDistance

    oracle = FrechetInceptionDistance(feature=Flatten(24), normalize=True).set_dtype(torch.float64)
    real, fake = draw(150, 24), draw(120, 24, seed=1, shift=0.5)
    oracle.update(real.view(-1, 1, 4, 6), real=True)
    oracle.update(fake.view(-1, 1, 4, 6), real=False)
    assert frechet_distance(real, fake) == pytest.approx(float(oracle.compute()), rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(10, 12), (10, 500), (500, 10)])
def test_frechet_distance_with_fewer_samples_than_dimensions(n, m):
    # Independent reference: the trace of the root is the nuclear norm of the product of the centred data matrices.
    real, fake = draw(n, 64), draw(m, 64, seed=1, shift=0.2)
    one = (real - real.mean(0)) / (n - 1) ** 0.5
    other = (fake - fake.mean(0)) / (m - 1) ** 0.5
    expected = (real.mean(0) - fake.mean(0)).square().sum() + one.square().sum() + other.square().sum()
    expected = expected - 2 * torch.linalg.matrix_norm(one @ other.T, ord="nuc")
    assert frechet_distance(real, fake) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("n", [5, 40, 1000])
def test_frechet_distance_of_equal_sets_is_zero_and_never_below(n):
    real = draw(n, 40)
    assert 0 <= frechet_distance(real, real.clone()) < 1e-6
    assert 0 <= frechet_distance(real, real.flip(0)) < 1e-6


def test_frechet_distance_in_closed_form():
    real = draw(400, 8)
    assert frechet_distance(real, real + 2.0) == pytest.approx(4 * 8, rel=1e-9)
    # The same covariance times 9: tr(S + 9 S - 2 * 3 S) = 4 tr(S).
    centred = real - real.mean(0)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * float(centred.T.cov().trace()), rel=1e-9)


def test_frechet_distance_is_symmetric_and_survives_constant_dimensions():
    real, fake = draw(60, 10), draw(50, 10, seed=1)
    real[:, 3] = fake[:, 3] = 1.0
    fake[:, 5] = 0.0
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-9)
    rest = [column for column in range(10) if column != 3]
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(real[:, rest], fake[:, rest]), rel=1e-9)
    assert frechet_distance(torch.ones(4, 3), torch.zeros(4, 3)) == pytest.approx(3.0)


def test_half_precision_features_are_summed_in_double():
    real = 100 + draw(300, 6)
    half = real.half()
    assert frechet_distance(half, real) == pytest.approx(frechet_distance(half.double(), real), rel=1e-12)


def test_statistics_can_be_stored(tmp_path):
    real, fake = draw(80, 12), draw(70, 12, seed=1)
    save_file(Gaussian.of(real).to_tensors(), tmp_path / "real.safetensors")
    stored = Gaussian.from_tensors(load_file(tmp_path / "real.safetensors"))
    assert stored.count == 80
    assert frechet_distance(stored, fake) == frechet_distance(real, fake) == frechet_distance(stored, Gaussian.of(fake))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, "lack mean"),
        ({"cov": torch.eye(3)}, r"not \[4\] and \[3, 3\]"),
        ({"count": torch.tensor(1)}, "at least 2 samples, not 1"),
        ({"mean": torch.full((4,), float("nan"))}, "must be finite"),
    ],
)
def test_stored_statistics_that_do_not_belong_together_are_refused(change, message):
    tensors = {"mean": torch.zeros(4), "cov": torch.eye(4), "count": torch.tensor(9)} | change
    with pytest.raises(InputError, match=message):
        Gaussian.from_tensors({name: value for name, value in tensors.items() if value is not None})


# Kernel distance


def test_kernel_distance_is_that_of_torchmetrics_subset_by_subset():
    mend_torchvision()
    from torchmetrics.image.kid import KernelInceptionDistance

    oracle = KernelInceptionDistance(feature=Flatten(24), subsets=7, subset_size=40)
    real, fake = draw(150, 24), draw(120, 24, seed=1, shift=0.1)
    oracle.update(real.view(-1, 1, 4, 6), real=True)
    oracle.update(fake.view(-1, 1, 4, 6), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        mean, std = oracle.compute()
    found = kernel_distance(real, fake, generator=generator(5), subsets=7, subset_size=40)
    assert found.mean == pytest.approx(float(mean), rel=1e-9)
    assert found.std == pytest.approx(float(std), rel=1e-9)


def test_kernel_distance_leaves_out_pairs_of_a_sample_with_itself():
    real, fake = draw(6, 3), draw(6, 3, seed=1)

    def kernel(x, y):
        return (float(x @ y) / 3 + 1) ** 3

    within = [[kernel(s[i], s[j]) for i in range(6) for j in range(6) if i != j] for s in (real, fake)]
    across = [kernel(x, y) for x in real for y in fake]
    expected = np.mean(within[0]) + np.mean(within[1]) - 2 * np.mean(across)
    found = kernel_distance(real, fake, generator=generator(), subsets=3, subset_size=6)
    assert found.mean == pytest.approx(expected, rel=1e-9)
    assert np.isnan(found.std), "there is one subset"


def test_kernel_distance_is_unbiased_and_grows_with_the_distance():
    def distance(seed, other, shift=0.0):
        real, fake = draw(100, 8, seed), draw(100, 8, other, shift)
        return kernel_distance(real, fake, generator=generator(), subsets=1, subset_size=100).mean

    means = np.array([distance(seed, seed + 50) for seed in range(1, 41)])
    assert abs(means.mean()) < 4 * means.std() / len(means) ** 0.5
    assert means.min() < 0 < means.max()
    assert distance(0, 1, shift=1.0) > means.max()


def test_kernel_distance_depends_on_its_generator_alone():
    real, fake = draw(90, 5), draw(80, 5, seed=1)
    values = [kernel_distance(real, fake, generator=generator(seed), subsets=4, subset_size=20) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    state = torch.random.get_rng_state()
    kernel_distance(real, fake, generator=generator(), subsets=4, subset_size=20)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("subsets", "size", "message"), [(0, 5, "not 0 of 5"), (3, 1, "not 3 of 1"), (3, 11, "11")])
def test_kernel_distance_refuses_impossible_subsets(subsets, size, message):
    with pytest.raises(InputError, match=message):
        kernel_distance(draw(10, 3), draw(20, 3), generator=generator(), subsets=subsets, subset_size=size)


# Precision, recall, density, coverage


def prdc_by_definition(real, fake, k):
    def radii(points):
        return [sorted(row)[k] for row in cdist(points, points)]

    between, real_radii, fake_radii = cdist(fake, real), radii(real), radii(fake)
    in_real, in_fake = between <= np.array(real_radii), np.array(fake_radii) >= between.T
    return in_real.any(1).mean(), in_fake.any(1).mean(), in_real.sum(1).mean() / k, in_real.any(0).mean()


@pytest.mark.parametrize("block", [2**23, 100])
@pytest.mark.parametrize(("n", "m", "k"), [(120, 90, 5), (40, 70, 1), (31, 31, 30)])
def test_prdc_is_its_definition(n, m, k, block, monkeypatch):
    monkeypatch.setattr(checks, "_LARGEST_BLOCK", block)
    real, fake = draw(n, 4), draw(m, 4, seed=1, shift=0.4)
    assert prdc(real, fake, k) == pytest.approx(prdc_by_definition(real, fake, k))


def test_prdc_of_special_cases():
    real = draw(200, 3)
    copies = prdc(real, real.clone())
    assert (copies.precision, copies.recall, copies.coverage) == (1, 1, 1)
    assert prdc(real, real + 1000) == (0, 0, 0, 0)
    # One mode of two: precise, but half of the real samples are not covered.
    half = prdc(torch.cat([real, real + 100]), draw(300, 3, seed=1))
    assert half.precision > 0.9
    assert 0.4 < half.coverage <= 0.5
    assert half.recall <= 0.5


def test_prdc_survives_a_common_offset():
    real, fake = draw(150, 4), draw(150, 4, seed=1)
    assert prdc(real + 1e6, fake + 1e6) == pytest.approx(prdc(real, fake))


def test_prdc_refuses_too_few_neighbours():
    with pytest.raises(InputError, match="k must be at least 1, not 0"):
        prdc(draw(10, 2), draw(10, 2), k=0)
    with pytest.raises(InputError, match=r"fake features have shape \[5, 2\].*at least 6"):
        prdc(draw(10, 2), draw(5, 2), k=5)


# Diversity and novelty


def test_diversity_is_the_mean_over_pairs_of_each_group():
    grouped = torch.stack([draw(7, 5, seed=s, scale=s + 1.0) for s in range(4)])
    expected = [pdist(group.numpy()).mean() for group in grouped]
    torch.testing.assert_close(diversity(grouped), torch.tensor(expected, dtype=torch.float64))


def test_diversity_of_copies_is_zero_and_scales_with_the_features():
    grouped = draw(6, 5).view(2, 3, 5)
    assert diversity(torch.ones(3, 4, 5)).tolist() == [0, 0, 0]
    torch.testing.assert_close(diversity(10 * grouped + 3), 10 * diversity(grouped))


@pytest.mark.parametrize("block", [2**23, 100])
def test_novelty_is_the_distance_to_the_nearest(block, monkeypatch):
    monkeypatch.setattr(checks, "_LARGEST_BLOCK", block)
    samples, reference = draw(60, 6), draw(80, 6, seed=1, shift=5.0)
    expected = torch.from_numpy(cdist(samples, reference).min(axis=1))
    torch.testing.assert_close(novelty(samples, reference), expected)


def test_novelty_of_copies_is_exactly_zero():
    reference = 1e3 + draw(300, 50)
    assert novelty(reference[::3].clone(), reference).eq(0).all()
    assert novelty(reference[:1] + 1e-3, reference).item() == pytest.approx(1e-3 * 50**0.5, rel=1e-6)


# Hostile input

TWO_SETS = {
    "frechet": frechet_distance,
    "kernel": lambda real, fake: kernel_distance(real, fake, generator=generator(), subsets=2, subset_size=8),
    "prdc": lambda real, fake: prdc(real, fake, k=2),
    "novelty": novelty,
}


@pytest.mark.parametrize("metric", TWO_SETS.values(), ids=TWO_SETS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_counted(metric, value):
    broken = draw(20, 4)
    broken[3, 1] = broken[7, 0] = value
    for pair in ((broken, draw(20, 4)), (draw(20, 4), broken)):
        with pytest.raises(InputError, match="features hold 2 values that are not finite"):
            metric(*pair)


@pytest.mark.parametrize("metric", TWO_SETS.values(), ids=TWO_SETS)
def test_different_widths_are_refused(metric):
    with pytest.raises(InputError, match="different widths: 4 and 5"):
        metric(draw(20, 4), draw(20, 5))


@pytest.mark.parametrize("metric", TWO_SETS.values(), ids=TWO_SETS)
@pytest.mark.parametrize("shape", [(0, 4), (20,), (20, 0), (2, 10, 4)])
def test_other_shapes_are_refused(metric, shape):
    for pair in ((torch.zeros(shape), draw(20, 4)), (draw(20, 4), torch.zeros(shape))):
        with pytest.raises(InputError, match="features have shape"):
            metric(*pair)


@pytest.mark.parametrize("shape", [(3, 1, 4), (0, 3, 4), (3, 4)])
def test_diversity_needs_groups_of_two(shape):
    with pytest.raises(InputError, match=r"grouped features have shape .*\[P, N, D\] is needed, with N at least 2"):
        diversity(torch.zeros(shape))


def test_one_sample_has_no_covariance():
    with pytest.raises(InputError, match=r"fake features have shape \[1, 4\]"):
        frechet_distance(draw(20, 4), draw(1, 4))


# Features of an expert


class Averages(Expert):
    """Gives the mean of each channel, and remembers the sizes of the batches that it saw."""

    def __init__(self):
        super().__init__({})
        self.weight = nn.Parameter(torch.ones(()), requires_grad=False)
        self.seen = []

    @classmethod
    def describe(cls, config):
        return {
            "mean": Port("mean", "vector", (3,), gives=True),
            "map": Port("map", "map", (3, "height", "width"), gives=True),
        }

    def encode(self, inputs, port, *, generator=None):
        self.seen.append(len(inputs))
        return self.weight * inputs.mean(dim=(2, 3))


def test_features_go_through_the_expert_in_batches():
    expert, images = Averages(), torch.rand(10, 3, 4, 4, generator=generator())
    found = features(expert, images, "mean", batch_size=4)
    assert expert.seen == [4, 4, 2]
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, images.mean(dim=(2, 3)).double())


def test_features_need_images_and_a_vector_port():
    images = torch.rand(2, 3, 4, 4, generator=generator())
    with pytest.raises(PortError, match="gives vectors, not map"):
        features(Averages(), images, "map")
    with pytest.raises(PortError, match="no port 'median'"):
        features(Averages(), images, "median")
    with pytest.raises(InputError, match="not 0 and 256"):
        features(Averages(), images[:0], "mean")


# Oracles


class Flatten(nn.Module):
    """A feature network for torchmetrics that hands its input through."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, images):
        return images.flatten(1)
