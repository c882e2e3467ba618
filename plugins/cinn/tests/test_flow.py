"""The flow against autograd, against its own inverse, and against zuko's transforms."""

import pytest
import torch
import zuko
from torch.distributions import Independent, Normal

from dragoman_cinn.conditioner import ResidualConditioner, SeparateConditioner
from dragoman_cinn.flow import gaussian_nll

CONDITIONERS = [ResidualConditioner, SeparateConditioner]


@pytest.mark.parametrize("kind", CONDITIONERS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_log_determinant_is_that_of_the_jacobian(make_flow, size, kind, generator):
    flow = make_flow(size, kind=kind).double()
    x = torch.randn(4, size, generator=generator).double()
    condition = torch.randn(4, 4, generator=generator).double()
    _, log_det = flow(x, flow.project(condition))
    for row in range(4):
        projections = flow.project(condition[row : row + 1])
        jacobian = torch.autograd.functional.jacobian(lambda v, p=projections: flow(v[None], p)[0][0], x[row])
        torch.testing.assert_close(log_det[row], torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("kind", CONDITIONERS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_inverse(make_flow, size, kind, generator):
    flow = make_flow(size, kind=kind)
    x = torch.randn(6, size, generator=generator)
    projections = flow.project(torch.randn(6, 4, generator=generator))
    v, _ = flow(x, projections)
    assert (v - x).abs().max() > 0.1
    torch.testing.assert_close(flow.inverse(v, projections), x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", CONDITIONERS)
def test_inverse_is_exact_at_the_published_depth(make_flow, kind, generator):
    # Weights as far from their first values as training takes them; with arbitrary ones 48 couplings are chaotic.
    flow = make_flow(268, depth=24, width=32, kind=kind, scale=0.2)
    x = torch.randn(16, 268, generator=generator)
    projections = flow.project(torch.randn(16, 4, generator=generator))
    flow.initialize(x, projections)
    v, log_det = flow(x, projections)
    assert log_det.std() > 1
    assert (v - x).abs().mean() > 0.5
    assert (flow.inverse(v, projections) - x).abs().max() < 1e-4
    assert (flow(flow.inverse(x, projections), projections)[0] - x).abs().max() < 1e-4


def test_every_dimension_depends_on_every_other(make_flow, generator):
    flow = make_flow(9, depth=4)
    projections = flow.project(torch.randn(1, 4, generator=generator))
    x = torch.randn(9, generator=generator)
    jacobian = torch.autograd.functional.jacobian(lambda v: flow(v[None], projections)[0][0], x)
    assert (jacobian != 0).all()


def test_density_agrees_with_zuko(make_flow, scramble, generator):
    """The same maps composed by zuko from its own transforms give the same density."""
    flow = make_flow(5, depth=2, ridges=0)
    x = torch.randn(7, 5, generator=generator)
    projections = flow.project(torch.randn(7, 4, generator=generator))
    flow.initialize(x, projections)
    scramble(flow, scale=0.3)
    blocks = zip(flow.steps, projections.couplings, strict=True)
    transform = zuko.transforms.ComposedTransform(*(part for pair in blocks for part in _in_zuko(*pair)))
    base = Independent(Normal(torch.zeros(7, 5), torch.ones(7, 5)), 1)
    oracle = zuko.distributions.NormalizingFlow(transform, base)
    v, log_det = flow(x, projections)
    torch.testing.assert_close(log_det - gaussian_nll(v), oracle.log_prob(x))
    torch.testing.assert_close(v, transform(x))


def _in_zuko(block, projected):
    coupling, norm = block.coupling, block.actnorm
    first = torch.arange(5) < coupling.sizes[0]

    def affine(half, context):
        def transform(kept):
            log_scale, shift = half.conditioner(kept, context)
            scale = (half.clamp * torch.tanh(log_scale / half.clamp)).exp()
            return torch.distributions.AffineTransform(shift, scale, event_dim=1)

        return transform

    return [
        torch.distributions.AffineTransform(norm.bias, norm.log_scale.exp(), event_dim=1),
        zuko.transforms.CouplingTransform(affine(coupling.move_second, projected[0]), first),
        zuko.transforms.CouplingTransform(affine(coupling.move_first, projected[1]), ~first),
        zuko.transforms.PermutationTransform(block.permutation.order),
    ]
