import pytest
import torch
from torch import nn
from torch.nn import functional

from dragoman.errors import InputError, TrainingError
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.conditioned import Conditioned, site_names
from dragoman_yoto.family import LossFamily
from dragoman_yoto.modulation import Modulation

FAMILY = LossFamily((Coefficient("a", 1, 100), Coefficient("b", 1, 1)))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 64, 6),
    )


def test_modulation_is_scale_and_shift_by_the_condition():
    film = Modulation(4, 2, strength=0.5)
    features, condition = torch.randn(3, 4, 5, 5), torch.randn(3, 2)
    scale, shift = film.coefficients(condition)
    expected = torch.stack([features[i] * scale[i, :, None, None] + shift[i, :, None, None] for i in range(3)])
    torch.testing.assert_close(film(features, condition), expected)
    assert torch.equal(Modulation(4, 2, strength=0.0)(features, condition), features)


def test_instance_normalisation_comes_first():
    film = Modulation(4, 2, norm="instance", strength=0.0)
    features = 3 + 2 * torch.randn(3, 4, 5, 5)
    torch.testing.assert_close(film(features, torch.randn(3, 2)), functional.instance_norm(features))


def test_a_map_modulates_place_by_place():
    film = Modulation(4, 2, spatial=True, strength=1.0)
    condition = torch.zeros(1, 2, 4, 4)
    before = film(torch.ones(1, 4, 16, 16), condition)
    condition[0, 1, 0, 0] = 1
    changed = (film(torch.ones(1, 4, 16, 16), condition) - before).abs().sum(dim=1)[0] > 1e-6
    # A kernel of 3, twice, at a quarter of the resolution: no farther than two of its cells.
    assert changed[:4, :4].any()
    assert not changed[12:].any()
    assert not changed[:, 12:].any()


def test_each_sample_sees_its_own_coefficients():
    conditioned = Conditioned(network(), FAMILY, strength=1.0)
    images, values = torch.randn(4, 3, 4, 4), FAMILY.draw(4, torch.Generator().manual_seed(0))
    with conditioned.using(values):
        together = conditioned(images)
    for row in range(4):
        with conditioned.using(values[row : row + 1]):
            torch.testing.assert_close(conditioned(images[row : row + 1])[0], together[row])


@pytest.mark.parametrize("value", [1.0, 7.0, 100.0])
def test_a_setting_folds_into_a_plain_network(value):
    conditioned = Conditioned(network(), FAMILY, strength=1.0)
    plain = network()
    plain.load_state_dict(conditioned.folded({"a": value}))
    images = torch.randn(2, 3, 4, 4)
    with conditioned.using(FAMILY.values({"a": value})):
        expected = conditioned(images)
    torch.testing.assert_close(plain(images), expected, atol=1e-5, rtol=1e-5)
    assert (expected - conditioned.network(images)).abs().max() > 1e-3 or value == FAMILY.values()[0, 0]


def test_without_a_choice_the_default_holds():
    conditioned = Conditioned(network(), FAMILY, strength=1.0)
    images = torch.randn(2, 3, 4, 4)
    with conditioned.using(FAMILY.values({"a": 10.0})):
        expected = conditioned(images)
    torch.testing.assert_close(conditioned(images), expected)
    with pytest.raises(ZeroDivisionError), conditioned.using(FAMILY.values({"a": 1.0})):
        raise ZeroDivisionError
    torch.testing.assert_close(conditioned(images), expected)


def test_names_of_the_network_stay():
    plain = network()
    before = list(plain.state_dict())
    conditioned = Conditioned(plain, FAMILY)
    assert list(plain.state_dict()) == before
    assert {name.split(".")[1] for name in conditioned.film.state_dict()} == {"scale", "shift"}


def test_sites_are_chosen_by_patterns():
    assert site_names(network(), ["*", "!2"]) == ["0", "5"]
    with pytest.raises(InputError, match=r"No layer matches decoder.*; the layers are 0, 2, 5"):
        site_names(network(), ["decoder.*"])


def test_a_family_without_range_modulates_nothing():
    conditioned = Conditioned(network(), LossFamily((Coefficient("a", 3, 3),)))
    assert conditioned.sites == []
    assert not list(conditioned.film.parameters())


def test_what_cannot_be_is_refused():
    conditioned = Conditioned(network(), FAMILY)
    with conditioned.using(FAMILY.draw(3, torch.Generator())), pytest.raises(TrainingError, match="neither split nor"):
        conditioned(torch.randn(2, 3, 4, 4))
    with pytest.raises(InputError, match="none or instance"):
        Modulation(4, 2, norm="batch")
    with pytest.raises(InputError, match="needs maps"):
        Modulation(4, 2, spatial=True, dim=-1)
    without_bias = Conditioned(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False)), FAMILY)
    with pytest.raises(InputError, match="no bias"):
        without_bias.folded()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "width is a whole number from 1 to 4096, not 0"),
        ({"hidden": 10**9}, "width is a whole number from 1 to 4096"),
        ({"strength": float("nan")}, "strength is a finite number, not nan"),
        ({"strength": "much"}, "strength is a finite number, not 'much'"),
        ({"spatial": True}, "no option 'spatial'; they have hidden, norm, strength"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Conditioned(network(), FAMILY, **options)


def test_a_copy_is_modulated_by_its_own_modulations():
    import copy

    conditioned = Conditioned(network(), FAMILY, strength=1.0)
    twin = copy.deepcopy(conditioned)
    images = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(twin(images), conditioned(images))
    before = conditioned(images)
    for parameter in twin.film.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(conditioned(images), before)
    torch.testing.assert_close(twin(images), twin.network(images))
    assert (twin(images) - before).abs().max() > 1e-3


def test_a_normalisation_can_be_a_site_with_weights_of_its_own_or_without():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6))
    conditioned = Conditioned(network, FAMILY, sites=["1", "3"], strength=1.0)
    maps = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    low, high = FAMILY.values({"a": 1}), FAMILY.values({"a": 100})
    with conditioned.using(torch.cat([low, high])):
        both = conditioned(maps)
    for row, values in enumerate((low, high)):
        with conditioned.using(values):
            torch.testing.assert_close(conditioned(maps)[row], both[row])
    assert not torch.allclose(conditioned(maps), both)
    with pytest.raises(InputError, match="does not fold"):
        conditioned.folded()
