import subprocess
import sys

from dragoman_yoto import BETA_VAE, LOSS_CONDITIONAL, VAE_TRAINING, register_experts, register_methods
from dragoman_yoto.vae_expert import BetaVAE


def test_the_cards_are_light():
    script = "import sys, dragoman_yoto; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_hooks_offer_cards_that_load():
    cards = []
    register_experts(cards.append)
    register_methods(cards.append)
    assert cards == [BETA_VAE, LOSS_CONDITIONAL, VAE_TRAINING]
    assert all(card.load().__name__ == card.target.partition(":")[2] for card in cards)


def test_the_card_has_the_ports_of_the_expert():
    ports = BetaVAE.describe({"channels": 1, "size": 8, "width": 8, "latent": 4})
    assert [(port.name, port.modality, port.gives, port.takes) for port in BETA_VAE.ports] == [
        (port.name, port.modality, port.gives, port.takes) for port in ports.values()
    ]
