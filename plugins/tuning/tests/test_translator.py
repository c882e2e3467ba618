import pytest
import torch

from dragoman import Port
from dragoman.errors import InputError, PortError
from dragoman_tuning.translator import ClassEmbedding


@pytest.fixture
def translator():
    made = ClassEmbedding(["ankle boot", "coat"], size=3, z=4)
    made.embedding.data.copy_(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    return made


def test_names_and_numbers_find_the_same_embedding(translator):
    by_name = translator.sample(["Coat", "  ANKLE  boot "], generator=torch.Generator().manual_seed(3))
    by_number = translator.sample(torch.tensor([1, 0]), generator=torch.Generator().manual_seed(3))
    assert torch.equal(by_name, by_number)
    assert by_name[:, 4:].tolist() == [[4, 5, 6], [1, 2, 3]]


def test_samples_do_not_depend_on_the_batch(translator):
    whole = translator.sample(["coat"] * 5, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    parts = [translator.sample(["coat"] * size, generator=generator) for size in (2, 3)]
    assert torch.equal(whole, torch.cat(parts))


def test_temperature_scales_z_alone(translator):
    made = translator.sample(["coat"], generator=torch.Generator().manual_seed(0), temperature=0.0)
    assert made.tolist() == [[0, 0, 0, 0, 4, 5, 6]]


def test_a_region_moves_and_scales_z_before_which_temperature_scales_noise():
    made = ClassEmbedding(["a", "b"], size=1, z=2, region=True).requires_grad_(False)
    made.mean[1] = torch.tensor([3.0, -1.0])
    made.deviation[1] = torch.tensor([0.5, 0.0])
    plain, moved = (made.sample([name], generator=torch.Generator().manual_seed(0))[0] for name in "ab")
    torch.testing.assert_close(moved[:2], torch.tensor([3.0, -1.0]) + torch.tensor([0.5, 0.0]) * plain[:2])
    cold = made.sample(["b"], temperature=0.0)[0]
    assert cold.tolist() == [3.0, -1.0, 0.0]


def test_a_prior_that_ends_is_a_truncated_normal():
    translator = ClassEmbedding(["a"], size=1, z=4000, cut=2.0).requires_grad_(False)
    z = translator.sample(["a"], generator=torch.Generator().manual_seed(0))[0, :-1]
    assert float(z.abs().max()) <= 2
    # The standard deviation of a normal distribution cut off at -2 and 2.
    assert float(z.std()) == pytest.approx(0.8796, abs=0.03)


@pytest.mark.parametrize("names", [[], ["coat", "Coat "]])
def test_names_have_to_differ(names):
    with pytest.raises(InputError, match="names that differ"):
        ClassEmbedding(names, size=3, z=4)


@pytest.mark.parametrize(
    "condition", [["trouser"], torch.tensor([2]), torch.tensor([-1]), torch.tensor([0.5]), torch.tensor([[1]])]
)
def test_what_was_not_tuned_is_refused(translator, condition):
    with pytest.raises(InputError, match=r"tuned ones|class names"):
        translator.sample(condition)


def test_it_joins_names_to_vectors_that_are_long_enough():
    name, latent = Port("name", "text", gives=True), Port("latent", "vector", (7,), takes=True)
    assert ClassEmbedding.build(name, latent, names=["a"], size=3).config["z"] == 4
    with pytest.raises(PortError, match="does not join"):
        ClassEmbedding.build(name, latent, names=["a"], size=7)
    with pytest.raises(PortError, match="does not join"):
        ClassEmbedding.build(Port("pooled", "vector", (3,), gives=True), latent, names=["a"], size=3)
