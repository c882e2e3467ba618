"""Splines against zuko's, ridge maps against autograd and their inverse."""

import pytest
import torch
import zuko

from dragoman_cinn.ridge import RidgeMaps
from dragoman_cinn.spline import BOUND, Spline, parameters_of


def test_zeros_make_the_identity():
    x = torch.linspace(-7, 7, 50)
    spline = Spline.make(torch.zeros(50, parameters_of(8)))
    y, log_slope = spline(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros(50), atol=1e-5, rtol=0)


def test_spline_agrees_with_zuko_on_the_same_knots(generator):
    x = 3 * torch.randn(300, generator=generator).double()
    spline = Spline.make(2 * torch.randn(300, parameters_of(5), generator=generator).double())
    # zuko makes its knots from unconstrained numbers in its own way; give it ours.
    oracle = zuko.transforms.MonotonicRQSTransform(torch.zeros(300, 5), torch.zeros(300, 5), torch.zeros(300, 4))
    oracle.horizontal, oracle.vertical = spline.x, spline.y
    oracle.derivatives = torch.cat([spline.bins[..., 4], spline.bins[..., -1:, 5]], dim=-1)
    y, log_slope = spline(x)
    torch.testing.assert_close(y, oracle(x))
    torch.testing.assert_close(log_slope, oracle.log_abs_det_jacobian(x, y))
    assert (x.abs() > BOUND).any()


def test_spline_is_monotonic_and_inverted_to_float32_precision(generator):
    raw = torch.randn(1, parameters_of(8), generator=generator).expand(2001, -1)
    spline = Spline.make(raw)
    x = torch.linspace(-6, 6, 2001)
    y, log_slope = spline(x)
    assert (y.diff() > 0).all()
    assert log_slope.abs().max() > 0.5
    torch.testing.assert_close(spline.inverse(y), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_ridge_maps(size, scramble, generator):
    maps = RidgeMaps(size, 4, 3, 2.0)
    scramble(maps)
    maps = maps.double()
    x = 2 * torch.randn(6, size, generator=generator).double()
    condition = torch.randn(6, 4, generator=generator).double()
    y, log_det = maps(x, maps.project(condition))
    assert (y - x).abs().min(dim=0).values.max() > 1e-3
    torch.testing.assert_close(maps.inverse(y, maps.project(condition)), x)
    for row in range(6):
        ridges = maps.project(condition[row : row + 1])
        jacobian = torch.autograd.functional.jacobian(lambda v, r=ridges: maps(v[None], r)[0][0], x[row])
        torch.testing.assert_close(log_det[row], torch.linalg.slogdet(jacobian).logabsdet)


def test_a_fresh_ridge_map_changes_nothing(generator):
    maps = RidgeMaps(5, 4, 3, 2.0)
    x = torch.randn(6, 5, generator=generator)
    y, log_det = maps(x, maps.project(torch.randn(6, 4, generator=generator)))
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_det, torch.zeros(6), atol=1e-5, rtol=0)


def test_gradients_reach_all_that_makes_a_map(scramble, generator):
    maps = RidgeMaps(5, 4, 3, 2.0)
    scramble(maps)
    maps = maps.double()
    condition = torch.randn(6, 4, generator=generator).double().requires_grad_()
    x = 2 * torch.randn(6, 5, generator=generator).double().requires_grad_()
    for way in (lambda x, condition: maps(x, maps.project(condition)), lambda y, c: maps.inverse(y, maps.project(c))):
        assert torch.autograd.gradcheck(way, (x, condition))
