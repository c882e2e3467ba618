import itertools
import math

import pytest
import scipy.stats
import torch

from dragoman.errors import InputError
from dragoman_biggan.truncation import StatisticsRow, truncated_normal

# What the package looks up where it is wrong by a whole row: truncation to row.
PIP_ROWS = {0.14: 8, 0.28: 15, 0.56: 29, 0.58: 28, 0.94: 46}


def looked_up(truncation, statistics, rows=51):
    """The table of row numbers read at a truncation: a row number with a fraction."""
    return StatisticsRow.at(truncation, rows, statistics).of(torch.arange(rows, dtype=torch.float64)[:, None]).item()


def test_every_truncation_on_the_grid_is_exactly_its_row():
    for rows in (51, 11, 8):
        for row in range(1, rows):
            place = StatisticsRow.at(row / (rows - 1), rows)
            assert (place.lower, place.weight) == (row, 0.0)
    # Two decimals, as people write them.
    assert [StatisticsRow.at(round(0.02 * row, 2), 51).lower for row in range(1, 51)] == list(range(1, 51))


def test_between_rows_statistics_are_interpolated_and_grow_with_the_truncation():
    truncations = [number / 1000 for number in range(1, 1001)]
    found = [looked_up(truncation, "exact") for truncation in truncations]
    assert found == pytest.approx([50 * truncation for truncation in truncations], abs=1e-6)


def test_pip_exchanges_the_weights_of_neighbouring_rows():
    assert looked_up(0.425, "exact") == pytest.approx(21.25)
    assert looked_up(0.425, "pip") == pytest.approx(21.75)
    between = [looked_up(0.42 + step / 1000, "pip") for step in range(1, 20)]
    assert all(later < earlier for earlier, later in itertools.pairwise(between))


def test_pip_takes_rounding_errors_for_fractions():
    for truncation, row in PIP_ROWS.items():
        assert looked_up(truncation, "exact") == round(50 * truncation)
        assert looked_up(truncation, "pip") == pytest.approx(row, abs=1e-6)
    for truncation in (0.02, 0.4, 0.5, 1.0):
        assert looked_up(truncation, "pip") == looked_up(truncation, "exact") == 50 * truncation


def test_pip_reads_the_same_statistics_as_the_package(make):
    reference = make.random_reference(make.deep_config).generator.bn
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    for truncation in [number / 200 for number in range(1, 201)]:
        row = StatisticsRow.at(truncation, 51, "pip")
        mean, var = row.of(reference.running_means), row.of(reference.running_vars)
        found = torch.nn.functional.batch_norm(x, mean, var, reference.weight, reference.bias, eps=reference.eps)
        torch.testing.assert_close(found, reference(x, truncation), atol=1e-6, rtol=1e-6)


def test_images_change_with_the_defects_only_where_they_show(make, deep):
    latent = deep.expert.draw("latent", 2, generator=torch.Generator().manual_seed(0))

    def difference(truncation):
        images = [deep.expert.decode(latent, "latent", truncation=truncation, statistics=s) for s in ("exact", "pip")]
        return (images[0] - images[1]).abs().max()

    assert difference(0.4) == difference(1.0) == 0
    assert difference(0.58) > 1e-3
    assert difference(0.425) > 1e-3


def test_rows_that_cannot_be_looked_up_are_refused():
    for truncation in (0, -1, 1.001, math.nan, math.inf):
        with pytest.raises(InputError, match="truncation must be in"):
            StatisticsRow.at(truncation, 51)
    with pytest.raises(InputError, match="'exact' or 'pip', not 'best'"):
        StatisticsRow.at(0.5, 51, "best")


def test_z_has_the_distribution_of_a_truncated_normal():
    z = truncated_normal(50_000, torch.Generator().manual_seed(0))
    assert z.dtype == torch.float32
    assert z.abs().max() <= 2
    assert scipy.stats.kstest(z.double().numpy(), scipy.stats.truncnorm(-2, 2).cdf).pvalue > 0.01


def test_z_comes_from_the_generator_alone():
    state = torch.random.get_rng_state()
    one, same, other = (truncated_normal(9, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())
