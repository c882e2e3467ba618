import json
from itertools import pairwise

import pytest
import torch

from dragoman.errors import InputError, PackageError, PortError
from dragoman.training import Settings, Trainer
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.family import LossFamily
from dragoman_yoto.method import LossConditional
from dragoman_yoto.vae import network_of
from dragoman_yoto.vae_expert import FILM_SITES, BetaVAE
from dragoman_yoto.vae_training import VAETraining

SIZES = {"channels": 1, "size": 8, "width": 8, "latent": 4}
FAMILY = LossFamily((Coefficient("reconstruction", 1, 1), Coefficient("kl", 0.1, 100, knob="beta")), "geometric")
FILM = {"sites": list(FILM_SITES), "hidden": 32, "strength": 0.5}
BETAS = (0.1, 1.0, 10.0, 100.0)


class Bars:
    """A bright bar at one of eight columns, or rows."""

    def batch(self, size, generator):
        images = torch.full((size, 1, 8, 8), 0.05)
        where = torch.randint(8, (size,), generator=generator)
        flipped = torch.rand(size, generator=generator) < 0.5
        for row in range(size):
            images[row, 0, :, where[row]] = 0.95
            if flipped[row]:
                images[row, 0] = images[row, 0].T.clone()
        return {"image": images}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    method = LossConditional(VAETraining(network_of(SIZES), learning_rate=5e-3, clip=5.0), FAMILY, **FILM)
    Trainer(method, Bars(), Settings(400, batch_size=32, ema_decay=0.98), tmp_path_factory.mktemp("vae")).run()
    return method


@pytest.fixture(scope="module")
def expert(trained):
    return BetaVAE({**SIZES, "family": FAMILY.to_dict(), "film": FILM}, trained.conditioned)


def test_each_loss_falls_as_its_own_coefficient_rises(trained):
    batch = Bars().batch(512, torch.Generator().manual_seed(5))
    losses = []
    for beta in BETAS:
        with torch.no_grad(), trained.conditioned.using(FAMILY.values({"beta": beta})):
            found = trained.method("vae", batch, torch.Generator().manual_seed(6))
        losses.append({name: float(value.mean()) for name, value in found.items()})
    divergences = [each["kl"] for each in losses]
    reconstructions = [each["reconstruction"] for each in losses]
    assert divergences == sorted(divergences, reverse=True)
    # Once the latent says nothing there is nothing left to lose but noise.
    assert all(after > before - 0.5 for before, after in pairwise(reconstructions))
    assert reconstructions[-1] > reconstructions[0] + 3
    assert divergences[0] > 2
    assert divergences[-1] < 0.2  # the latent says nothing any more


def test_losses_agree_with_their_definitions():
    method = VAETraining(network_of(SIZES))
    images = Bars().batch(3, torch.Generator().manual_seed(0))["image"]
    losses = method("vae", {"image": images}, torch.Generator().manual_seed(1))
    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    mean, log_variance = method.network.encode(images)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(losses["kl"], divergence)
    logits = method.network.decode(mean + posterior.scale * noise)
    p = logits.sigmoid()
    expected = -(images * p.log() + (1 - images) * (1 - p).log()).sum(dim=(1, 2, 3))
    torch.testing.assert_close(losses["reconstruction"], expected, rtol=1e-4, atol=1e-4)


def test_a_saved_expert_is_the_same_and_its_manifest_names_the_knob(expert, tmp_path):
    expert.save_pretrained(tmp_path)
    again = BetaVAE.from_pretrained(tmp_path)
    images = Bars().batch(2, torch.Generator().manual_seed(0))["image"]
    for beta in BETAS:
        latent = expert.encode(images, "latent", beta=beta)
        assert torch.equal(latent, again.encode(images, "latent", beta=beta))
        assert torch.equal(expert.decode(latent, "latent", beta=beta), again.decode(latent, "latent", beta=beta))
    (knob,) = json.loads((tmp_path / "config.json").read_text())["knobs"]
    assert (knob["name"], knob["low"], knob["high"], knob["scale"]) == ("beta", 0.1, 100, "log")
    assert knob["default"] == pytest.approx(10**0.5)


def test_the_knob_changes_what_is_made(expert):
    latent = expert.draw("latent", 3, generator=torch.Generator().manual_seed(0))
    low, high = (expert.decode(latent, "latent", beta=beta) for beta in (0.1, 100.0))
    assert low.shape == (3, 1, 8, 8)
    assert (low - high).abs().max() > 0.1
    assert high.std(dim=0).max() < low.std(dim=0).max()


def test_what_cannot_be_is_refused(expert, tmp_path):
    latent, plain = torch.zeros(1, 4), BetaVAE(SIZES, network_of(SIZES))
    for call, kind, message in (
        (lambda: expert.decode(latent, "latent", beta=1000.0), InputError, "beta takes 0.1 to 100"),
        (lambda: expert.decode(latent, "latent", gamma=1.0), InputError, "no knob 'gamma'"),
        (lambda: expert.decode(torch.zeros(1, 5), "latent"), InputError, r"\[B, 4\]"),
        (lambda: expert.encode(torch.zeros(1, 1, 9, 8), "latent"), InputError, r"not \[1, 9, 8\]"),
        (lambda: expert.decode(latent, "image"), PortError, "latent"),
        (
            lambda: plain.decode(latent, "latent", beta=1.0),
            InputError,
            "trained for one beta",
        ),
        (lambda: network_of({**SIZES, "size": 9}), PackageError, "multiple of 4"),
        (lambda: network_of({**SIZES, "width": "8"}), PackageError, "width"),
        (lambda: network_of({**SIZES, "size": 4096, "width": 4096}), PackageError, "size 4096, .* are too large"),
        (lambda: network_of({**SIZES, "seed": "first"}), PackageError, "seed is 'first'"),
    ):
        with pytest.raises(kind, match=message):
            call()
    expert.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 16}))
    with pytest.raises(PackageError, match="do not fit"):
        BetaVAE.from_pretrained(tmp_path)
