import pytest
import torch

from dragoman.testing import critic_tests
from dragoman_vision_aided.critic import VisionAided

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def critic(tiny):
    return VisionAided(tiny.eye(), taps=("stage.1", "pooled"), width=8)


test_conformance = critic_tests("vision-aided", "critic", outputs=IMAGES)
