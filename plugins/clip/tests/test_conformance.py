import pytest

from dragoman.testing import critic_tests, expert_tests
from dragoman.testing.samples import images, texts


def inputs(port):
    return texts() if port in ("text", "tokens") or port.startswith("hidden.") else images()


@pytest.fixture
def siglip(tiny, tmp_path):
    return tiny.write(tmp_path / "siglip", "siglip")


test_clip = expert_tests("clip", checkpoint="folder", inputs=inputs)
test_siglip = expert_tests("clip", checkpoint="siglip", inputs=inputs)
test_similarity = critic_tests("clip-similarity", critic="folder")
