import subprocess
import sys

from dragoman_t5 import T5


def test_the_card_is_light():
    heavy = "torch", "transformers", "numpy", "accelerate", "sentencepiece", "click"
    script = f"import sys, dragoman_t5; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_card_and_the_checkpoint_agree_on_ports(expert):
    assert list(expert.ports) == [port.name for port in T5.ports]
    for on_card in T5.ports:
        loaded = expert.ports[on_card.name]
        assert (loaded.modality, loaded.dtype, loaded.gives) == (on_card.modality, on_card.dtype, True)
        assert len(loaded.shape) == len(on_card.shape)
    assert T5.load() is type(expert)


def test_published_configurations_have_their_widths():
    kind = T5.load()
    assert kind.describe({"model_type": "t5", "d_model": 512})["tokens"].shape == ("tokens", 512)
    assert kind.describe({"model_type": "t5", "d_model": 4096, "feed_forward_proj": "gated-gelu"})["pooled"].shape == (
        4096,
    )
