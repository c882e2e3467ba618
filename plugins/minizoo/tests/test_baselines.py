import torch

from dragoman.expert import Atoms
from dragoman.ports import Port
from dragoman_minizoo.baselines import Regression, Retrieval

# Four pairs on the axes.
KEYS = torch.eye(4)[[3, 0, 1, 2]]
TARGET = torch.arange(8.0).view(4, 2)


def test_retrieval_of_the_nearest_returns_the_stored_latent():
    asked = torch.eye(4)[[3, 2]] + 0.01
    found = Retrieval(KEYS, TARGET, 1).sample(asked, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found, TARGET[[0, 3]])


def test_retrieval_among_several_varies_and_stays_among_them():
    translator = Retrieval(KEYS, TARGET, 2)
    asked = torch.tensor([[1.0, 0.9, 0.0, 0.0]]).expand(50, -1)
    found = translator.sample(asked, generator=torch.Generator().manual_seed(0))
    assert {tuple(row) for row in found.tolist()} == {(2.0, 3.0), (4.0, 5.0)}


def test_regression_gives_one_answer_and_a_true_class_embedding():
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    translator = Regression.build(Port("c", "vector", (3,)), Port("t", "vector", (5,)))
    translator.initialize(torch.zeros(1, 5), torch.zeros(1, 3), Atoms(2, values))
    asked = torch.ones(2, 3)
    first, second = translator.sample(asked)
    assert torch.equal(first, second)
    assert first[2:4].tolist() in values.tolist()


def test_regression_losses_are_per_sample():
    translator = Regression.build(Port("c", "vector", (3,)), Port("t", "vector", (5,)))
    loss = translator.losses(torch.zeros(4, 5), torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    assert loss["squared_error"].shape == (4,)
    assert (loss["squared_error"] > 0).all()
