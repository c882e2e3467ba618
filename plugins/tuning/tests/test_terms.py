import pytest
import torch

from dragoman_tuning import terms


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_diversity_is_the_mean_over_pairs_of_the_ratio_of_distances():
    features, z = draw(2, 5, 3), draw(5, 4, seed=1)
    found = terms.diversity(features, z).mean(dim=1)
    for run in range(2):
        pairs = [
            (features[run, i] - features[run, j]).norm() / (z[i] - z[j]).norm() for i in range(5) for j in range(i)
        ]
        torch.testing.assert_close(found[run], torch.stack(pairs).mean())


def test_the_weight_of_diversity_does_not_depend_on_the_batch():
    features, z = draw(1, 400, 3), draw(400, 4, seed=1)
    small = terms.diversity(features[:, :40], z[:40]).mean()
    assert float(terms.diversity(features, z).mean()) == pytest.approx(float(small), rel=0.15)


def test_energy_distance_vanishes_where_distributions_agree_and_not_elsewhere():
    real = draw(1, 2000, 3)
    same = terms.energy_distance(draw(1, 2000, 3, seed=1), real).mean()
    narrow = terms.energy_distance(0.3 * draw(1, 2000, 3, seed=1), real).mean()
    moved = terms.energy_distance(draw(1, 2000, 3, seed=1) + 1, real).mean()
    assert abs(float(same)) < 0.01
    assert float(narrow) > 0.05
    assert float(moved) > 0.05


def test_energy_distance_has_no_unit():
    fake, real = draw(1, 9, 3, seed=1), draw(1, 7, 3) + 1
    torch.testing.assert_close(terms.energy_distance(fake, real), terms.energy_distance(10 * fake, 10 * real))


def test_equal_samples_have_a_gradient():
    features = torch.ones(1, 4, 3, requires_grad=True)
    total = terms.diversity(features, draw(4, 2)).sum() + terms.energy_distance(features, draw(1, 4, 3)).sum()
    total.backward()
    assert features.grad.isfinite().all()


def test_log_density_is_highest_at_the_mean_of_the_trained_embeddings():
    table = draw(6, 3)
    at = terms.log_density(torch.stack([table.mean(dim=0), table.mean(dim=0) + table.std(dim=0)]), table)
    torch.testing.assert_close(at, torch.tensor([0.0, -0.5]))
