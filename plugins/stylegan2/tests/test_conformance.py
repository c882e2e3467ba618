import pytest
import torch

from dragoman.testing import expert_tests, method_tests
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2

Z = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
LABEL = {"label": torch.tensor([0, 2, 1])}
KNOBS = {"label": {"z": Z}, "z": LABEL}


@pytest.fixture
def conditional(make, tmp_path):
    make.expert(classes=3).save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def gan(make):
    return AdversarialStyleGAN2(make.generator(num_classes=3), make.discriminator(num_classes=3))


@pytest.fixture
def batch():
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return {"image": images, "label": torch.tensor([0, 1, 2, 1])}


test_conformance = expert_tests("stylegan2", checkpoint="conditional", knobs=KNOBS)
test_method = method_tests("stylegan2", "gan", "batch")
