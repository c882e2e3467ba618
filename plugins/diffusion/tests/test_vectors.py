"""What both translators to vectors promise, and what each adds."""

import json
import math

import pytest
import torch
from torch.nn import functional

from dragoman.errors import InputError, PortError
from dragoman.expert import Atoms
from dragoman.plugins import zoo
from dragoman.ports import Port
from dragoman.representation import Tokens, select
from dragoman_diffusion.flow_matching import FlowMatching
from dragoman_diffusion.ode import integrate
from dragoman_diffusion.prior import DiffusionPrior

VECTOR, LATENT = Port("pooled", "vector", (6,)), Port("latent", "vector", (5,))
TOKENS = Port("tokens", "tokens", ("length", 6))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def fit(translator, draw, steps=400, rate=3e-3):
    generator = seeded(0)
    translator.initialize(*draw(1000, generator))
    optimizer = torch.optim.Adam(translator.parameters(), rate)
    for _ in range(steps):
        loss = sum(value.mean() for value in translator.losses(*draw(128, generator), generator=generator).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return translator


def linear_gaussian(rows, generator):
    condition = torch.randn(rows, 6, generator=generator)
    return 3 + 2 * condition[:, :2] + 0.5 * torch.randn(rows, 2, generator=generator), condition


def test_the_cards_lead_to_the_classes():
    assert zoo().translators["flow-matching"].load() is FlowMatching
    assert zoo().translators["diffusion-prior"].load() is DiffusionPrior


def test_flow_matching_learns_a_distribution_whose_likelihood_is_known():
    translator = fit(FlowMatching.build(VECTOR, Port("z", "vector", (2,)), width=64, depth=2, seed=0), linear_gaussian)
    target, condition = linear_gaussian(1000, seeded(9))
    with torch.no_grad():
        error = translator.sample(condition, generator=seeded(2)) - (3 + 2 * condition[:, :2])
        reached = translator.log_prob(target[:200], condition[:200], steps=16).mean().item()
    assert error.mean(dim=0).abs().max() < 0.5
    assert 0.35 < error.std() < 1.0
    truth = -2 * (math.log(0.5) + 0.5 * math.log(2 * math.pi * math.e))
    assert truth - 1.0 < reached < truth + 0.15


def test_the_prior_learns_the_mean_and_keeps_variety():
    translator = fit(
        DiffusionPrior.build(VECTOR, Port("z", "vector", (2,)), width=32, depth=2, seed=0), linear_gaussian
    )
    _, condition = linear_gaussian(500, seeded(9))
    with torch.no_grad():
        sample = translator.sample(condition, generator=seeded(2), draws=1)
        again = translator.sample(condition, generator=seeded(3), draws=1)
    assert torch.corrcoef(torch.stack([sample[:, 0], condition[:, 0]]))[0, 1] > 0.8
    assert 0.25 < (sample - again).std() / 2**0.5 < 1.0


def test_a_class_embedding_is_sampled_exactly_and_follows_the_condition(make_vectors):
    atoms = Atoms(2, functional.one_hot(torch.arange(3), 3).float() * 2 - 0.5)

    def draw(rows, generator):
        label = torch.randint(3, (rows,), generator=generator)
        condition = functional.one_hot(label, 6).float()
        return torch.cat([torch.randn(rows, 2, generator=generator), atoms.values[label]], dim=1), condition

    translator = make_vectors(width=32)
    translator.initialize(*draw(500, seeded(0)), atoms)
    fit(translator, draw, steps=60, rate=1e-2)
    target, condition = draw(60, seeded(4))
    losses = translator.losses(target, condition, generator=seeded(1))
    assert losses["class"].shape == losses[translator.loss].shape == (60,)
    with torch.no_grad():
        sample = translator.sample(condition, generator=seeded(2), num_inference_steps=4)
    distance = torch.cdist(sample[:, 2:], atoms.values)
    assert distance.amin(dim=1).max() == 0
    assert (distance.argmin(dim=1) == condition.argmax(dim=1)).float().mean() > 0.95
    assert sample[:, :2].std() > 0.5


@pytest.mark.parametrize("source", [VECTOR, TOKENS])
def test_samples_do_not_depend_on_the_batch_size(source, make_vectors, texts, generator):
    translator = make_vectors(source)
    condition = texts(4) if source is TOKENS else torch.randn(4, 6, generator=generator)
    condition = select(condition, [0, 0, 1, 2, 3, 3])
    with torch.no_grad():
        whole = translator.sample(condition, generator=seeded(7), guidance_scale=2.0)
        again = seeded(7)
        parts = [
            translator.sample(select(condition, rows), generator=again, guidance_scale=2.0)
            for rows in ([0], [1, 2, 3], [4, 5])
        ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-4, rtol=1e-4)
    assert len(whole.unique(dim=0)) == 6


def test_state_and_config_make_the_same_translator(make_vectors, generator):
    translator = make_vectors()
    target, condition = torch.randn(9, 5, generator=generator), torch.randn(9, 6, generator=generator)
    translator.initialize(target, condition, Atoms(1, torch.randn(3, 2, generator=generator)))
    twin = type(translator)(**json.loads(json.dumps(translator.config)))
    twin.load_state_dict(translator.state_dict())
    with torch.no_grad():
        expected = translator.sample(condition, generator=seeded(2))
        assert torch.equal(twin.sample(condition, generator=seeded(2)), expected)
        twin.initialize(target + 5, condition, Atoms(1, torch.randn(3, 2, generator=generator)))
        assert torch.equal(twin.sample(condition, generator=seeded(2)), expected)


def test_guidance_one_is_the_conditional_network_and_zero_ignores_the_condition(make_vectors, generator):
    translator = make_vectors()
    one, other = torch.randn(4, 6, generator=generator), torch.randn(4, 6, generator=generator)
    options = {"num_inference_steps": 4} | ({"draws": 1} if isinstance(translator, DiffusionPrior) else {})

    def sample(condition, scale):
        with torch.no_grad():
            return translator.sample(condition, generator=seeded(1), guidance_scale=scale, **options)

    torch.testing.assert_close(sample(one, 0.0), sample(other, 0.0))
    assert not torch.allclose(sample(one, 1.0), sample(other, 1.0))
    torch.testing.assert_close(sample(one, 1.0 + 1e-7), sample(one, 1.0), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(sample(one, 3.0), sample(one, 1.0))


def test_nothing_moves_the_global_generator_or_what_it_is_given(make_vectors, generator):
    before = torch.get_rng_state()
    target, condition = torch.randn(9, 5, generator=generator), torch.randn(9, 6, generator=generator)
    copies = target.clone(), condition.clone()
    translator = make_vectors()
    translator.initialize(target, condition)
    translator.losses(target, condition, generator=generator)
    translator.sample(condition, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(target, copies[0])
    assert torch.equal(condition, copies[1])


def test_vectors_of_unit_norm_stay_on_the_sphere(make_vectors, generator):
    sphere = Port("image_embeds", "vector", (6,), normalisation="unit norm")
    translator = make_vectors(sphere, sphere)
    rows = functional.normalize(torch.randn(20, 6, generator=generator), dim=1)
    translator.initialize(rows, rows)
    sample = translator.sample(rows, generator=generator)
    torch.testing.assert_close(sample.norm(dim=1), torch.ones(20))


def test_two_candidates_fit_better_than_one_by_the_dot_product(generator):
    sphere = Port("embeds", "vector", (6,), normalisation="unit norm")
    prior = DiffusionPrior.build(sphere, sphere, width=16, depth=1, seed=0)
    assert prior.match is None
    condition = functional.normalize(torch.randn(200, 6, generator=generator), dim=1)
    with torch.no_grad():
        one, many = (
            (prior.sample(condition, generator=seeded(1), draws=k, num_inference_steps=4) * condition).sum(dim=1)
            for k in (1, 4)
        )
    assert many.mean() > one.mean() + 0.1


def test_the_transformer_is_causal(generator):
    network = DiffusionPrior.build(VECTOR, LATENT, width=16, depth=2, seed=0).network
    x, t, condition = (
        torch.randn(2, 5, generator=generator),
        torch.tensor([0.2, 0.7]),
        torch.randn(2, 128, generator=generator),
    )
    tokens, changed = network.tokens(x, t, condition), network.tokens(x + 1, t, condition)
    place = network.context + 1  # where the noisy vector stands
    torch.testing.assert_close(tokens[:, :place], changed[:, :place])
    assert (tokens[:, place:] - changed[:, place:]).abs().amax() > 1e-3


def test_edits_undo_each_other_to_the_precision_of_the_integral(generator):
    translator = fit(
        FlowMatching.build(VECTOR, Port("z", "vector", (2,)), width=32, depth=2, seed=0), linear_gaussian, 30
    )
    target, one = linear_gaussian(20, seeded(1))
    _, other = linear_gaussian(20, seeded(2))
    with torch.no_grad():
        torch.testing.assert_close(translator.transfer(target, one, one), target, atol=5e-3, rtol=5e-3)
        edited = translator.transfer(target, one, other)
        assert (edited - target).abs().mean() > 0.5
        torch.testing.assert_close(translator.transfer(edited, other, one), target, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2)])
def test_integrals_converge_with_the_order_of_their_method(method, order):
    start = torch.tensor([[1.0]], dtype=torch.float64)

    def error(steps):
        return (integrate(lambda x, t: x, start, steps, method) - math.e).abs().item()

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.1)
    back = integrate(lambda x, t: x, integrate(lambda x, t: x, start, 200, method), 200, method, backwards=True)
    torch.testing.assert_close(back, start, atol=0.01, rtol=0)


def test_the_published_prior_has_about_the_published_number_of_weights():
    clip = Port("embeds", "vector", (1024,), normalisation="unit norm")
    with torch.device("meta"):
        prior = DiffusionPrior.build(clip, clip, size="paper", seed=0)
    layers = sum(parameter.numel() for parameter in prior.network.layers.parameters())
    assert layers == pytest.approx(1.2e9, rel=0.05)


def test_what_a_user_can_get_wrong(make_vectors, generator):
    kind = type(make_vectors())
    for options, message in [
        ({"size": "huge"}, "no size 'huge'"),
        ({"dept": 3}, "no option 'dept'"),
        ({"depth": 0}, "depth must be a whole number of at least 1, not 0"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and at most 0.99"),
    ]:
        with pytest.raises(InputError, match=message):
            kind.build(VECTOR, LATENT, **options)
    for target in (Port("class", "label"), Port("image", "image", (3, 8, 8)), Port("z", "vector", ("size",))):
        with pytest.raises(PortError, match=target.name):
            kind.build(VECTOR, target)
    translator, condition = make_vectors(), torch.zeros(2, 6)
    for knobs, message in [
        ({"temperature": -1}, "temperature"),
        ({"guidance": 2}, "no knob 'guidance'"),
        ({"num_inference_steps": 0}, "num_inference_steps must be a whole number"),
        ({"guidance_scale": math.nan}, "guidance_scale"),
    ]:
        with pytest.raises(InputError, match=message):
            translator.sample(condition, generator=generator, **knobs)
    with pytest.raises(InputError, match="without dropout"):
        make_vectors(dropout=0.0).sample(condition, generator=generator, guidance_scale=2.0)
    with pytest.raises(InputError, match=r"target must be a tensor \[B, 5\], not \[2, 6\]"):
        translator.losses(torch.zeros(2, 6), condition, generator=generator)
    with pytest.raises(InputError, match="no pairs"):
        translator.initialize(torch.zeros(0, 5), torch.zeros(0, 6))
    with pytest.raises(InputError, match="condition must be"):
        translator.sample(Tokens(torch.zeros(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)), generator=generator)
