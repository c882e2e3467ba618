"""The acceptance: learned from what was declined, it keeps a flow's samples out of the gaps."""

import pytest
import torch

from dragoman.errors import InputError
from dragoman.expert import Atoms
from dragoman.knobs import Knob
from dragoman.testing import translator_tests
from dragoman_cinn.acceptance import Acceptance

SMALL = {"depth": 2, "width": 16, "embedding": 8, "embedder_width": 12, "embedder_layers": 1, "acceptance": 8}
ATOMS = Atoms(1, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))

test_conformance = translator_tests("cinn", options=SMALL)


def targets(rows, generator):
    """Normal draws beside two atoms, and whether they are accepted: on one side of 0 for each atom."""
    index = torch.randint(2, (rows,), generator=generator)
    continuous = torch.randn(rows, 3, generator=generator)
    target = torch.cat([continuous[:, :1], ATOMS.values[index], continuous[:, 1:]], dim=1)
    return target, (continuous[:, 0] > 0) == (index == 1)


@pytest.fixture
def trained(make_cinn, generator):
    """A translator that knows of all draws, and has learned which of them were declined."""
    cinn = make_cinn(acceptance=24)
    target, accepted = targets(4000, generator)
    cinn.initialize(target, torch.randn(4000, 6, generator=generator), ATOMS)
    optimizer = torch.optim.Adam(cinn.acceptance.parameters(), 1e-2)
    for _ in range(150):
        rows = [which[torch.randint(len(which), (64,), generator=generator)]
                for which in (accepted.nonzero()[:, 0], (~accepted).nonzero()[:, 0])]  # fmt: skip
        loss = cinn.declined_losses(target[rows[0]], target[rows[1]])["acceptance"]
        assert loss.shape == (64,)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    return cinn.eval()


def share_accepted(samples):
    index = samples[:, 2] == 0
    return float(((samples[:, 0] > 0) == index).float().mean())


def test_samples_keep_out_of_what_was_declined(trained, generator):
    condition = torch.randn(1, 6, generator=generator).expand(2000, 6)
    alone, chosen, strictest = (
        share_accepted(trained.sample(condition, generator=generator, proposals=count)) for count in (1, 4, 32)
    )
    assert alone < 0.8
    assert chosen > alone + 0.1
    assert strictest > max(chosen, 0.95)


def test_the_atoms_keep_their_shares(trained, generator):
    """Proposals are drawn for an atom, so an atom of which much is declined is not asked for less often."""
    condition = torch.randn(1, 6, generator=generator).expand(4000, 6)
    shares = [trained.sample(condition, generator=generator, proposals=count)[:, 1].mean().item() for count in (1, 8)]
    assert shares[0] == pytest.approx(shares[1], abs=0.04)


def test_one_proposal_is_the_flow_alone(make_cinn):
    condition = torch.randn(7, 6, generator=torch.Generator().manual_seed(3))
    with_one, without = make_cinn(acceptance=8), make_cinn()
    alone = without.sample(condition, generator=torch.Generator().manual_seed(1))
    with_one.load_state_dict(without.state_dict(), strict=False)
    assert torch.equal(with_one.sample(condition, generator=torch.Generator().manual_seed(1), proposals=1), alone)


def test_samples_do_not_depend_on_the_batch_size(trained, generator):
    condition = torch.randn(6, 6, generator=generator)
    whole = trained.sample(condition, generator=torch.Generator().manual_seed(2))
    again = torch.Generator().manual_seed(2)
    parts = [trained.sample(condition[rows], generator=again) for rows in (slice(0, 1), slice(1, 6))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_untrained_it_accepts_everything_equally(generator):
    acceptance = Acceptance(3, 2, 8)
    log_odds = acceptance(torch.randn(9, 3, generator=generator), torch.zeros(9, dtype=torch.long))
    assert len(log_odds.unique()) == 1


def test_choices_are_in_proportion_to_the_squared_acceptance(generator):
    log_odds = torch.tensor([[0.0, -2.0, 3.0]])
    wanted = log_odds[0].sigmoid().square() / log_odds.sigmoid().square().sum()
    chosen = Acceptance.choose(log_odds.expand(20_000, 3), torch.rand(20_000, generator=generator))
    torch.testing.assert_close(torch.bincount(chosen) / 20_000, wanted, atol=0.015, rtol=0)
    assert Acceptance.choose(log_odds, torch.ones(1)).tolist() == [2]


def test_the_knob_is_there_with_an_acceptance_alone(make_cinn):
    assert make_cinn().knobs() == ()
    assert make_cinn().declined_losses(torch.zeros(2, 5), torch.zeros(2, 5)) == {}
    (knob,) = make_cinn(acceptance=8).knobs()
    assert isinstance(knob, Knob)
    assert (knob.name, knob.default) == ("proposals", 4)
    with pytest.raises(InputError, match="proposals"):
        make_cinn(acceptance=8).sample(torch.zeros(2, 6), proposals=0)
    with pytest.raises(InputError, match="no knob 'proposals'"):
        make_cinn().sample(torch.zeros(2, 6), proposals=2)
    with pytest.raises(InputError, match="acceptance must be at least 0, not -1"):
        make_cinn(acceptance=-1)
