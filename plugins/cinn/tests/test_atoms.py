"""Discrete coordinates: exact values, exact probabilities, and what an edit does to them."""

import math

import pytest
import torch

from dragoman.errors import InputError
from dragoman.expert import Atoms

START, COUNT, SIZE, TARGET = 2, 3, 4, 7


@pytest.fixture
def atoms(generator):
    return Atoms(START, torch.randn(COUNT, SIZE, generator=generator))


@pytest.fixture
def cinn(make_cinn, scramble, atoms, generator):
    translator = make_cinn(target=TARGET)
    index = torch.randint(COUNT, (64,), generator=generator)
    target = torch.randn(64, TARGET, generator=generator)
    target[:, START : START + SIZE] = atoms.values[index]
    translator.initialize(target, torch.randn(64, 6, generator=generator), atoms)
    scramble(translator)
    return translator


def target_of(cinn, atoms, index, generator):
    continuous = torch.randn(len(index), TARGET - SIZE, generator=generator)
    return cinn.atoms.join(continuous, index)


def test_samples_hold_exact_atoms_between_the_continuous_coordinates(cinn, atoms, generator):
    samples = cinn.sample(torch.randn(200, 6, generator=generator), generator=generator)
    assert samples.shape == (200, TARGET)
    equal = (samples[:, None, START : START + SIZE] == atoms.values).all(dim=2)
    assert equal.any(dim=1).all()
    assert equal.any(dim=0).all()
    assert len(samples[:, 0].unique()) == len(samples[:, -1].unique()) == 200


def test_sampled_atoms_follow_the_head(cinn, generator):
    condition = torch.randn(1, 6, generator=generator)
    probability = cinn.atoms.log_probability(cinn.embedder(condition)).exp()[0]
    assert probability.min() > 0.01
    # The distribution is raised to the inverse of both temperatures: the translator's own, 0.5, and the call's.
    for temperature, power in ((2.0, 1), (1.0, 2), (0.5, 4)):
        samples = cinn.sample(condition.expand(4000, 6), generator=generator, temperature=temperature)
        frequency = torch.bincount(cinn.atoms.split(samples)[1], minlength=COUNT) / 4000
        wanted = torch.softmax(power * probability.log(), 0)
        assert (frequency - wanted).abs().max() < 4 * math.sqrt(0.25 / 4000)


def test_probabilities_of_the_atoms_sum_to_one(make_cinn, scramble, atoms, generator):
    """Summed over the atoms and integrated over the one continuous coordinate beside them."""
    translator = make_cinn(target=SIZE + 1)
    target = torch.cat([3 * torch.randn(12, 1, generator=generator), atoms.values[torch.arange(12) % COUNT]], dim=1)
    translator.initialize(target, torch.randn(12, 6, generator=generator), Atoms(1, atoms.values))
    scramble(translator, 0.5)
    grid = torch.linspace(-300, 300, 20001)
    condition = torch.randn(1, 6, generator=generator).expand(20001, 6)
    total = 0.0
    with torch.no_grad():
        for index in range(COUNT):
            joined = translator.atoms.join(grid[:, None], torch.full((20001,), index))
            total += torch.trapezoid(translator.log_prob(joined, condition).exp(), grid).item()
    assert total == pytest.approx(1, abs=1e-3)


def test_rounded_atoms_count_as_atoms(cinn, atoms, generator):
    """Pairs may be stored in half precision."""
    index = torch.randint(COUNT, (20,), generator=generator)
    target = target_of(cinn, atoms, index, generator).half().float()
    assert torch.equal(cinn.atoms.split(target)[1], index)


def test_an_edit_with_the_same_condition_changes_nothing(cinn, atoms, generator):
    index = torch.arange(60) % COUNT
    target, condition = target_of(cinn, atoms, index, generator), torch.randn(60, 6, generator=generator)
    torch.testing.assert_close(cinn.transfer(target, condition, condition), target, atol=1e-4, rtol=1e-4)
    assert torch.equal(cinn.atoms.split(cinn.transfer(target, condition, condition))[1], index)


def test_an_edit_exchanges_the_atoms_that_its_condition_explains(cinn, atoms, generator):
    # The first coordinate of the condition decides the atom.
    cinn.atoms.log_probability = lambda embedded: torch.log_softmax(
        torch.nn.functional.one_hot(embedded[:, 0].long(), COUNT) * 20.0, dim=1
    )
    cinn.embedder.forward = lambda condition: condition
    cinn.atoms.embedding = torch.nn.Linear(SIZE, 8)
    zero, one = torch.zeros(1, 8), torch.eye(8)[:1]
    for atom, expected in [(0, 1), (1, 1), (2, 2)]:
        target = target_of(cinn, atoms, torch.tensor([atom]), generator)
        assert cinn.atoms.split(cinn.transfer(target, zero, one))[1].item() == expected


def test_a_target_of_atoms_alone(make_cinn, atoms, generator):
    translator = make_cinn(target=SIZE)
    only = Atoms(0, atoms.values)
    condition, target = torch.randn(30, 6, generator=generator), atoms.values[torch.arange(30) % COUNT]
    translator.initialize(target, condition, only)
    log_prob = torch.stack([translator.log_prob(atoms.values[[k] * 30], condition) for k in range(COUNT)])
    torch.testing.assert_close(log_prob.exp().sum(dim=0), torch.ones(30))
    assert torch.equal(translator.transfer(target, condition, condition), target)
    assert translator.sample(condition, generator=generator).shape == (30, SIZE)


def test_atoms_that_do_not_fit_the_target(make_cinn, atoms, generator):
    translator = make_cinn(target=SIZE)
    with pytest.raises(InputError, match="coordinates 2 to 6 of a target of 4"):
        translator.initialize(torch.randn(8, SIZE, generator=generator), torch.randn(8, 6), atoms)
