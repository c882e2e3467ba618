import pytest
import torch

from dragoman.testing import expert_tests, method_tests


@pytest.fixture
def checkpoint(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def batch():
    return {"image": torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


test_expert = expert_tests("style", checkpoint="checkpoint")
test_method = method_tests("style-transfer", "make_method", batch)
