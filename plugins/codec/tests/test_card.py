import subprocess
import sys

from dragoman_codec import CODEC, RATE_DISTORTION, register_experts, register_methods


def test_the_cards_are_light():
    heavy = "torch", "numpy", "constriction", "PIL"
    script = f"import sys, dragoman_codec, dragoman_codec.commands; print([n for n in {heavy!r} if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_hooks_offer_cards_that_load(scale_codec):
    cards = []
    for hook in (register_experts, register_methods):
        hook(cards.append)
    assert cards == [CODEC, RATE_DISTORTION]
    assert all(card.load().__name__ == card.target.partition(":")[2] for card in cards)
    assert [(port.name, port.modality, port.gives, port.takes) for port in CODEC.ports] == [
        (port.name, port.modality, port.gives, port.takes) for port in scale_codec.ports.values()
    ]
