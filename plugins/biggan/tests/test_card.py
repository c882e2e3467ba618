import subprocess
import sys

from dragoman_biggan import BIGGAN, CONDITIONAL_GAN, register_experts, register_methods


def test_the_cards_are_light():
    heavy = "torch", "numpy", "safetensors", "scipy"
    script = f"import sys, dragoman_biggan; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_card_and_the_checkpoints_agree_on_ports(either):
    on_card = {port.name: port for port in BIGGAN.ports}
    assert list(on_card) == list(either.expert.ports)
    for name, loaded in either.expert.ports.items():
        card = on_card[name]
        assert (loaded.modality, loaded.dtype) == (card.modality, card.dtype)
        assert (loaded.gives, loaded.takes) == (card.gives, card.takes)
        assert len(loaded.shape) == len(card.shape)
        assert all(isinstance(size, int) for size in loaded.shape)
    assert next(iter(on_card)) == "latent"
    assert BIGGAN.load() is type(either.expert)


def test_the_hooks_offer_the_cards():
    experts, methods = [], []
    register_experts(experts.append)
    register_methods(methods.append)
    assert (experts, methods) == ([BIGGAN], [CONDITIONAL_GAN])
