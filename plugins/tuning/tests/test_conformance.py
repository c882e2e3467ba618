import pytest
import torch

from dragoman.testing import expert_tests, translator_tests
from dragoman.testing.samples import texts
from dragoman_tuning.names import ClassNames

IMAGES = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
TUNED = "embeddings are tuned through a generator, not learned from pairs"


@pytest.fixture
def names():
    return ClassNames()


test_class_embedding = translator_tests(
    "class-embedding", options={"names": texts(), "size": 2}, skip={"losses": TUNED, "learning": TUNED}
)
test_class_names = expert_tests("class-names", checkpoint="names")
test_guide_fashion = expert_tests("guide-fashion", inputs=IMAGES)
