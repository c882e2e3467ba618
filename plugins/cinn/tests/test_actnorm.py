import torch

from dragoman_cinn.actnorm import ActNorm


def test_initialisation_normalises_the_batch(generator):
    batch = 3 + torch.randn(500, 4, generator=generator) * torch.tensor([0.1, 1.0, 10.0, 100.0])
    norm = ActNorm(4)
    norm.initialize(batch)
    result, log_det = norm(batch)
    torch.testing.assert_close(result.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(result.std(dim=0, correction=0), torch.ones(4))
    torch.testing.assert_close(log_det, -batch.std(dim=0, correction=0).log().sum())


def test_a_single_row_and_constant_dimensions_stay_finite():
    for batch in (torch.tensor([[1.0, -7.0]]), torch.tensor([[1.0, 2.0], [1.0, 4.0], [1.0, 6.0]])):
        norm = ActNorm(2)
        norm.initialize(batch)
        result, log_det = norm(batch)
        assert torch.isfinite(result).all()
        assert abs(log_det) < 1
        assert (result[:, 0] == 0).all()
        torch.testing.assert_close(norm.inverse(result), batch)


def test_only_the_first_initialisation_counts_also_after_loading(generator):
    first, second = torch.randn(20, 3, generator=generator), 9 + torch.randn(20, 3, generator=generator)
    norm = ActNorm(3)
    norm.initialize(first)
    bias = norm.bias.clone()
    norm.initialize(second)
    assert torch.equal(norm.bias, bias)
    loaded = ActNorm(3)
    loaded.load_state_dict(norm.state_dict())
    loaded.initialize(second)
    assert torch.equal(loaded.bias, bias)


def test_forward_leaves_the_state_alone(generator):
    norm = ActNorm(3).train()
    batch = 5 + torch.randn(8, 3, generator=generator)
    assert torch.equal(norm(batch)[0], batch)
    assert not norm.initialized
