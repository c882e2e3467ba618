import math

import pytest
import torch

from dragoman.errors import InputError, TrainingError
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.family import LossFamily


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


FAMILY = LossFamily((Coefficient("reconstruction", 1, 1), Coefficient("kl", 0.5, 512, default=4, knob="beta")))


def test_coefficients_are_log_uniform_over_their_range_and_differ_within_a_batch():
    drawn = FAMILY.draw(20000, seeded())
    assert (drawn[:, 0] == 1).all()
    beta = drawn[:, 1]
    assert beta.min() >= 0.5
    assert beta.max() <= 512
    # In equal octaves there are equally many.
    counts = torch.histc(beta.log2(), bins=10, min=-1, max=9)
    assert (counts / 2000 - 1).abs().max() < 0.1
    assert len(beta.unique()) == len(beta)


def test_uniform_coefficients_may_begin_at_zero():
    drawn = Coefficient("style", 0, 2, distribution="uniform").draw(20000, seeded())
    assert drawn.mean() == pytest.approx(1, abs=0.02)
    assert drawn.std() == pytest.approx(2 / math.sqrt(12), abs=0.02)


def test_a_fixed_coefficient_takes_no_randomness():
    generator = seeded(3)
    fixed = LossFamily((Coefficient("kl", 4, 4),)).draw(5, generator)
    assert fixed.tolist() == [[4.0]] * 5
    assert torch.equal(generator.get_state(), seeded(3).get_state())


def test_the_condition_is_the_position_in_the_logarithm():
    values = torch.tensor([[1, 0.5], [1, 16], [1, 512]], dtype=torch.float64)
    torch.testing.assert_close(FAMILY.condition(values), torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64))
    assert LossFamily((Coefficient("kl", 4, 4),)).condition(values[:, :1]).shape == (3, 0)


@pytest.mark.parametrize(("normalisation", "expected"), [("none", 1 + 4), ("geometric", 0.5 + 2), ("sum", 0.2 + 0.8)])
def test_losses_are_weighed_sample_by_sample(normalisation, expected):
    family = LossFamily(FAMILY.coefficients, normalisation)
    losses = {name: torch.tensor([1.0, 2.0]) for name in ("reconstruction", "kl", "other")}
    weighed = family.weigh(losses, torch.tensor([[1.0, 4.0], [1.0, 4.0]], dtype=torch.float64))
    assert (weighed["reconstruction"] + weighed["kl"]).tolist() == pytest.approx([expected, 2 * expected])
    assert weighed["other"].tolist() == [1, 2]
    assert weighed["kl"].dtype == torch.float32


def test_losses_that_are_averaged_are_refused():
    with pytest.raises(TrainingError, match="do not average over the batch"):
        FAMILY.weigh({"kl": torch.tensor(1.0)}, FAMILY.draw(4, seeded()))


def test_knobs_have_names_ranges_and_defaults():
    (knob,) = FAMILY.knobs()
    assert (knob.name, knob.low, knob.high, knob.default, knob.scale) == ("beta", 0.5, 512, 4, "log")
    assert FAMILY.values().tolist() == [[1, 4]]
    assert FAMILY.values({"beta": 512}).tolist() == [[1, 512]]
    assert Coefficient("kl", 0.25, 4).usual == 1
    assert LossFamily.from_dict(FAMILY.to_dict()) == FAMILY


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FAMILY.values({"beta": 1000}), "beta takes 0.5 to 512"),
        (lambda: FAMILY.values({"gamma": 1}), "no knob 'gamma'; its knobs are beta .0.5 to 512"),
        (lambda: FAMILY.values({"reconstruction": 1}), "no knob 'reconstruction'"),
        (lambda: Coefficient("kl", 2, 1), "must ascend"),
        (lambda: Coefficient("kl", 0, 1), "positive"),
        (lambda: Coefficient("kl", 1, math.inf), "finite"),
        (lambda: Coefficient("kl", math.nan, 1), "must ascend"),
        (lambda: Coefficient("kl", 1, 2, default=3), "default"),
        (lambda: Coefficient("kl", 1, 2, distribution="beta"), "log-uniform or uniform"),
        (lambda: LossFamily(()), "at least one"),
        (lambda: LossFamily((Coefficient("kl", 1, 2), Coefficient("kl", 1, 3))), "called 'kl'"),
        (lambda: LossFamily((Coefficient("kl", 1, 2),), "softmax"), "one of none, geometric, sum"),
        (lambda: LossFamily((Coefficient("kl", 0, 2, distribution="uniform"),), "geometric"), "no geometric mean"),
        (lambda: LossFamily.from_dict({"coefficients": [{"loss": "kl"}]}), "does not describe a loss family"),
        (lambda: FAMILY.values({"beta": math.nan}), "beta takes 0.5 to 512"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
