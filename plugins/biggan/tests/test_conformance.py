from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dragoman.testing import expert_tests, method_tests
from dragoman_biggan.adversarial import ConditionalGAN
from dragoman_biggan.plain import Discriminator, Generator

LABELS = torch.tensor([0, 3, 4])


def knobs(size):
    z = torch.randn(3, size, generator=torch.Generator().manual_seed(2))
    return {"label": {"z": z}, "class_embedding": {"z": z}}


@pytest.fixture
def deep_folder(deep: SimpleNamespace):
    return deep.folder


@pytest.fixture
def plain_folder(plain: SimpleNamespace):
    return plain.folder


@pytest.fixture
def gan(make):
    config = replace(make.plain_config, attention=(), discriminator_attention=())
    return ConditionalGAN(Generator(config), Discriminator(config), r1=1.0)


@pytest.fixture
def batch():
    return {"image": torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0)), "label": LABELS}


test_deep = expert_tests("biggan", checkpoint="deep_folder", inputs=LABELS, knobs=knobs(6))
test_plain = expert_tests("biggan", checkpoint="plain_folder", inputs=LABELS, knobs=knobs(12))
test_method = method_tests("conditional-gan", "gan", "batch")
