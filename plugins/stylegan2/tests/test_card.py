import subprocess
import sys

from dragoman_stylegan2 import ADVERSARIAL, STYLEGAN2, register_experts, register_methods
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
from dragoman_stylegan2.expert import StyleGAN2


def test_the_cards_are_light():
    heavy = "torch", "numpy", "safetensors", "scipy"
    script = f"import sys, dragoman_stylegan2; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_card_and_the_checkpoints_agree_on_ports(expert):
    on_card = {port.name: port for port in STYLEGAN2.ports}
    missing = set() if expert.generator.config.num_classes else {"label"}
    assert [name for name in on_card if name not in missing] == list(expert.ports)
    for name, loaded in expert.ports.items():
        card = on_card[name]
        assert (loaded.modality, loaded.dtype) == (card.modality, card.dtype)
        assert (loaded.gives, loaded.takes) == (card.gives, card.takes)
        assert len(loaded.shape) == len(card.shape)
        assert all(isinstance(size, int) for size in loaded.shape)


def test_the_hooks_offer_what_the_cards_say():
    experts, methods = [], []
    register_experts(experts.append)
    register_methods(methods.append)
    assert (experts, methods) == ([STYLEGAN2], [ADVERSARIAL])
    assert STYLEGAN2.load() is StyleGAN2
    assert ADVERSARIAL.load() is AdversarialStyleGAN2
