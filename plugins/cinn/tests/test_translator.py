"""The translator's contract: build, train, sample, likelihood, edits, state."""

import json
import math

import pytest
import torch
import zuko

from dragoman.errors import InputError, PortError
from dragoman.plugins import zoo
from dragoman.ports import Port
from dragoman.representation import Tokens, select
from dragoman_cinn.memory import training_memory
from dragoman_cinn.translator import CINN

SOURCES = {
    "vector": Port("pooled", "vector", (6,)),
    "tokens": Port("tokens", "tokens", ("length", 6)),
    "image": Port("image", "image", (3, 16, 16)),
    "map": Port("features", "map", (2, 5, 7)),
}


def conditions(kind, rows, generator):
    if kind == "vector":
        return torch.randn(rows, 6, generator=generator)
    if kind == "tokens":
        mask = torch.arange(4) < torch.randint(1, 5, (rows, 1), generator=generator)
        return Tokens(torch.randn(rows, 4, 6, generator=generator) * mask[..., None], mask)
    return torch.rand(rows, *SOURCES[kind].shape, generator=generator)


def train(module, loss_of, draw, generator, steps=100):
    """Train on fresh pairs; returns the loss on other fresh pairs."""
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(steps):
        loss = loss_of(*draw(256, generator)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return loss_of(*draw(4000, generator)).mean().item()


def test_the_card_leads_to_the_class():
    assert zoo().translators["cinn"].load() is CINN


@pytest.mark.parametrize("kind", SOURCES)
def test_edits_undo_each_other_for_every_kind_of_condition(kind, make_cinn, generator):
    translator = make_cinn(SOURCES[kind])
    target, one, other = torch.randn(8, 5, generator=generator), *(conditions(kind, 8, generator) for _ in range(2))
    translator.initialize(target, one)
    # Two passes there and two back, each rounded to float32; the order of sums changes with the number of threads.
    close = {"atol": 5e-4, "rtol": 5e-4}
    torch.testing.assert_close(translator.restore(translator.residual(target, one), one), target, **close)
    torch.testing.assert_close(translator.transfer(target, one, one), target, **close)
    edited = translator.transfer(target, one, other)
    assert (edited - target).abs().max() > 0.1
    torch.testing.assert_close(translator.transfer(edited, other, one), target, **close)
    torch.testing.assert_close(translator.residual(edited, other), translator.residual(target, one), **close)


@pytest.mark.parametrize("kind", SOURCES)
def test_samples_do_not_depend_on_the_batch_size(kind, make_cinn, generator):
    translator = make_cinn(SOURCES[kind])
    condition = select(conditions(kind, 4, generator), [0, 0, 0, 1, 2, 2, 3, 0])
    whole = translator.sample(condition, generator=torch.Generator().manual_seed(7))
    again = torch.Generator().manual_seed(7)
    parts = [translator.sample(select(condition, rows), generator=again) for rows in ([0], [1, 2, 3, 4], [5, 6, 7])]
    torch.testing.assert_close(torch.cat(parts), whole)
    assert len(whole.unique(dim=0)) == 8


def test_the_global_generator_is_neither_used_nor_moved(make_cinn, generator):
    before = torch.get_rng_state()
    translator, twin = make_cinn(), make_cinn()
    translator.initialize(torch.randn(9, 5, generator=generator), torch.randn(9, 6, generator=generator))
    translator.sample(torch.zeros(2, 6), generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(make_cinn().parameters(), twin.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(make_cinn(seed=4).buffers(), twin.buffers(), strict=True))


def test_temperature_scales_the_residual_down_to_the_mode(make_cinn, generator):
    translator = make_cinn()
    condition = torch.randn(8, 6, generator=generator)
    mode = translator.sample(condition, generator=generator, temperature=0)
    torch.testing.assert_close(mode, translator.restore(torch.zeros(8, 5), condition))
    full = translator.sample(condition, generator=torch.Generator().manual_seed(1))
    half = translator.sample(condition, generator=torch.Generator().manual_seed(1), temperature=0.5)
    torch.testing.assert_close(
        translator.residual(half, condition), 0.5 * translator.residual(full, condition), atol=1e-4, rtol=1e-4
    )


def test_likelihood_is_in_the_units_of_the_target(make_cinn, generator):
    """Ten times larger targets are log 10 nats per dimension less likely."""
    target, condition = torch.randn(50, 5, generator=generator), torch.randn(50, 6, generator=generator)
    results = []
    for factor in (1.0, 10.0):
        translator = make_cinn(seed=1)
        translator.initialize(factor * target, condition)
        results.append(translator.log_prob(factor * target, condition))
        torch.testing.assert_close(translator.losses(factor * target, condition)["nll"], -results[-1])
    torch.testing.assert_close(results[0] - results[1], torch.full((50,), 5 * math.log(10.0)), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("atoms", [None, (1, 3)])
def test_state_and_config_make_the_same_translator(atoms, make_cinn, generator):
    from dragoman.expert import Atoms

    translator = make_cinn()
    target, condition = torch.randn(9, 5, generator=generator), torch.randn(9, 6, generator=generator)
    discrete = Atoms(1, torch.randn(3, 2, generator=generator)) if atoms else None
    translator.initialize(target, condition, discrete)
    twin = CINN(**json.loads(json.dumps(translator.config)))
    twin.load_state_dict(translator.state_dict())
    seed = torch.Generator().manual_seed
    assert torch.equal(twin.sample(condition, generator=seed(2)), translator.sample(condition, generator=seed(2)))
    assert torch.equal(twin.log_prob(target, condition), translator.log_prob(target, condition))
    twin.initialize(target + 5, condition, discrete)
    assert torch.equal(twin.log_prob(target, condition), translator.log_prob(target, condition))


def test_edits_and_likelihoods_stay_in_float32_under_autocast(make_cinn, generator):
    translator = make_cinn(width=64)
    target, condition = torch.randn(8, 5, generator=generator), torch.randn(8, 6, generator=generator)
    exact = translator.log_prob(target, condition), translator.residual(target, condition)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(translator.log_prob(target, condition), exact[0])
        assert torch.equal(translator.residual(target, condition), exact[1])
        torch.testing.assert_close(translator.transfer(target, condition, condition), target, atol=1e-4, rtol=1e-4)
        loss = translator.losses(target, condition)["nll"]
        sample = translator.sample(condition, generator=generator)
    assert loss.dtype == sample.dtype == torch.float32
    assert not torch.equal(loss, -exact[0])
    torch.testing.assert_close(loss, -exact[0], atol=0.5, rtol=0.05)


def test_gradients_reach_every_weight_from_the_likelihood_and_from_samples(make_cinn, generator):
    translator = make_cinn()
    condition = torch.randn(8, 6, generator=generator)
    for result in (translator.losses(torch.randn(8, 5, generator=generator), condition)["nll"],
                   translator.sample(condition, generator=generator)):  # fmt: skip
        translator.zero_grad()
        result.square().mean().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in translator.parameters())


def test_training_reaches_a_known_likelihood_and_that_of_zuko(generator):
    """A Gaussian whose mean and scale depend on the condition, so that the true likelihood is known."""
    weight = torch.randn(6, 3, generator=generator)
    truth = 1.5 * math.log(2 * math.pi * math.e) - 3

    def draw(rows, generator):
        condition = torch.randn(rows, 6, generator=generator)
        scale = (torch.tanh(condition[:, :3]) - 1).exp()
        return torch.sin(condition @ weight / 2) + scale * torch.randn(rows, 3, generator=generator), condition

    ours = CINN.build(SOURCES["vector"], Port("v", "vector", (3,)), depth=2, width=48, embedding=48, ridges=2, seed=0)
    ours.initialize(*draw(2000, generator))
    torch.manual_seed(0)
    theirs = zuko.flows.NICE(3, 6, transforms=4, hidden_features=(64, 64))
    reached = train(ours, lambda x, c: ours.losses(x, c)["nll"], draw, generator)
    assert truth - 0.1 < reached < truth + 0.6
    assert reached < train(theirs, lambda x, c: -theirs(c).log_prob(x), draw, generator) + 0.1


def test_the_published_size_has_the_published_number_of_weights():
    with torch.device("meta"):
        translator = CINN.build(Port("sbert", "vector", (768,)), Port("latent", "vector", (268,)), size="paper")
    assert round(sum(parameter.numel() for parameter in translator.parameters()) / 1e6, 1) == 254.7
    memory = training_memory(translator, 16, moments=3)
    assert memory.parameters == pytest.approx(4 * 254.7e6, rel=1e-3)
    assert (memory.gradients, memory.optimizer) == (pytest.approx(4 * 254.7e6, rel=1e-3), 3 * memory.gradients)
    # 96 networks keep three activations of 1024 each, before and after LeakyReLU at most.
    assert 96 * 3 * 1024 * 16 * 4 < memory.activations < 3 * 96 * 3 * 1024 * 16 * 4
    assert memory.total == sum(memory)


@pytest.mark.parametrize("kind", SOURCES)
def test_memory_grows_with_the_batch_and_leaves_the_translator_alone(kind, make_cinn):
    translator = make_cinn(SOURCES[kind])
    before = {name: value.clone() for name, value in translator.state_dict().items()}
    small, large = training_memory(translator, 10), training_memory(translator, 1000)
    assert small[:3] == large[:3]
    assert large.activations / small.activations == pytest.approx(100, rel=0.01)
    assert all(torch.equal(before[name], value) for name, value in translator.state_dict().items())


@pytest.mark.parametrize("size", [1, 2, 97])
def test_any_target_size(size, make_cinn, generator):
    translator = make_cinn(target=size)
    target, condition = torch.randn(4, size, generator=generator), torch.randn(4, 6, generator=generator)
    translator.initialize(target, condition)
    torch.testing.assert_close(translator.transfer(target, condition, condition), target, atol=1e-4, rtol=1e-4)


def test_initialisation_on_one_pair_and_on_constant_dimensions(make_cinn, generator):
    constant = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    for rows in (1, 6):
        translator = make_cinn()
        translator.initialize(constant.expand(rows, 5), torch.zeros(rows, 6))
        assert torch.isfinite(translator.log_prob(constant, torch.zeros(1, 6))).all()
        assert torch.isfinite(translator.sample(torch.ones(3, 6), generator=generator)).all()


def test_what_a_user_can_get_wrong(make_cinn, generator):
    vector = SOURCES["vector"]
    for options, message in [
        ({"size": "huge"}, "no size 'huge'; its sizes are default, large"),
        ({"dept": 3}, "no option 'dept'"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"conditioner": "mlp"}, "no conditioner 'mlp'"),
    ]:
        with pytest.raises(InputError, match=message):
            CINN.build(vector, vector, **options)
    for target in (Port("class", "label"), Port("image", "image", (3, 8, 8)), Port("z", "vector", ("size",))):
        with pytest.raises(PortError, match=target.name):
            CINN.build(vector, target)
    translator = make_cinn()
    with pytest.raises(InputError, match=r"target must be a tensor \[B, 5\], not \[2, 6\]"):
        translator.log_prob(torch.zeros(2, 6), torch.zeros(2, 6))
    with pytest.raises(InputError, match="temperature"):
        translator.sample(torch.zeros(2, 6), temperature=-1)
    with pytest.raises(InputError, match="no knob 'guidance'"):
        translator.sample(torch.zeros(2, 6), guidance=2)
    with pytest.raises(InputError, match="no pairs"):
        translator.initialize(torch.zeros(0, 5), torch.zeros(0, 6))
    with pytest.raises(InputError, match="condition must be"):
        translator.sample(["a shoe"], generator=generator)
