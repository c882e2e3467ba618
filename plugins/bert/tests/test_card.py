import subprocess
import sys

from dragoman_bert import BERT


def test_the_card_is_light():
    heavy = "torch", "transformers", "numpy", "tokenizers", "huggingface_hub"
    script = f"import sys, dragoman_bert; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_card_and_the_checkpoint_agree_on_ports(expert):
    for on_card in BERT.ports:
        loaded = expert.ports[on_card.name]
        assert (loaded.modality, loaded.dtype, loaded.gives) == (on_card.modality, on_card.dtype, True)
        assert len(loaded.shape) == len(on_card.shape)
    assert next(iter(expert.ports)) == BERT.ports[0].name == "pooled"
    assert BERT.load() is type(expert)
