import pytest
import torch

from dragoman.testing import expert_tests, method_tests, translator_tests
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.conditioned import Conditioned
from dragoman_yoto.family import LossFamily
from dragoman_yoto.method import LossConditional
from dragoman_yoto.vae import network_of
from dragoman_yoto.vae_expert import FILM_SITES, BetaVAE
from dragoman_yoto.vae_training import VAETraining

SIZES = {"channels": 1, "size": 8, "width": 8, "latent": 4}
FAMILY = LossFamily((Coefficient("reconstruction", 1, 1), Coefficient("kl", 0.1, 100, knob="beta")), "geometric")
FILM = {"sites": list(FILM_SITES), "hidden": 16, "strength": 0.5}
IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network_of(SIZES)


def write_plain(folder):
    BetaVAE(SIZES, network()).save_pretrained(folder)


def write_conditional(folder):
    config = {**SIZES, "family": FAMILY.to_dict(), "film": FILM}
    BetaVAE(config, Conditioned(network(), FAMILY, **FILM)).save_pretrained(folder)


def training():
    return VAETraining(network())


def loss_conditional():
    return LossConditional(VAETraining(network()), FAMILY, **FILM)


@pytest.fixture
def batch():
    return {"image": IMAGES}


#: A translator of two losses would do as well; the zoo's have one each, which has a coefficient of its own here.
INNER = {"name": "cinn", "depth": 2, "width": 16, "embedding": 8, "embedder_width": 12, "embedder_layers": 1}
CONDITIONAL = {"inner": INNER, "coefficients": [{"loss": "nll", "low": 0.5, "high": 2.0}], "hidden": 8}

test_translator = translator_tests("loss-conditional", options=CONDITIONAL)
test_beta_vae = expert_tests("beta-vae", checkpoint=write_plain, inputs=IMAGES)
test_conditional_beta_vae = expert_tests("beta-vae", checkpoint=write_conditional, inputs=IMAGES)
test_training = method_tests("beta-vae", training, "batch")
test_loss_conditional = method_tests(
    "loss-conditional", loss_conditional, "batch", skip={"losses": "they are those of the method that it wraps"}
)
