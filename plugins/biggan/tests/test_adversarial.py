import copy

import pytest
import torch

from dragoman.errors import InputError
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_biggan.adversarial import ConditionalGAN
from dragoman_biggan.plain import Discriminator, Generator, PlainConfig
from dragoman_biggan.standing import recompute_statistics

CONFIG = PlainConfig(
    resolution=8,
    channels=4,
    generator=(2, 1),
    discriminator=(1, 2),
    discriminator_downsamples=1,
    z_dim=4,
    shared_dim=4,
    num_classes=3,
    attention=(),
    discriminator_attention=(),
    image_channels=1,
)


class ThreeGreys:
    """Real images: class 0 is dark, class 1 grey, class 2 bright."""

    def batch(self, size, generator):
        label = torch.randint(3, (size,), generator=generator)
        noise = 0.05 * torch.rand(size, 1, 8, 8, generator=generator)
        return {"image": 0.1 + 0.4 * label[:, None, None, None].float() + noise, "label": label}


def make(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConditionalGAN(Generator(CONFIG), Discriminator(CONFIG), **options)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_losses_are_named_and_per_sample(loss):
    method = make(loss=loss, mismatch=0.5, r1=0.1)
    batch = ThreeGreys().batch(6, generator_for(0, "batch"))
    names = {phase.name: set(method(phase.name, batch, generator_for(0, phase.name))) for phase in method.phases()}
    assert names == {
        "discriminator": {"d_real", "d_fake", "d_mismatch"},
        "r1": {"r1"},
        "generator": {"g_fake"},
    }
    for phase in names:
        assert all(v.shape == (6,) for v in method(phase, batch, generator_for(0, phase)).values())


def test_without_safeguards_there_are_two_phases():
    assert [phase.name for phase in make(mismatch=0).phases()] == ["discriminator", "generator"]


def test_the_gradient_penalty_is_the_squared_gradient_at_real_images():
    method = make(r1=1.0).double().eval()
    batch = ThreeGreys().batch(2, generator_for(0, "batch"))
    image, label = batch["image"].double(), batch["label"]
    found = method("r1", {"image": image, "label": label}, generator_for(0, "r1"))["r1"]
    real, step = image * 2 - 1, 1e-6
    for row in range(2):
        slopes = []
        for pixel in range(64):
            moved = [real[row : row + 1].clone(), real[row : row + 1].clone()]
            for sign, one in zip((1, -1), moved, strict=True):
                one.view(-1)[pixel] += sign * step
            high, low = (method.discriminator(one, label[row : row + 1]) for one in moved)
            slopes.append(float((high - low).detach()) / (2 * step))
        assert float(found[row].detach()) == pytest.approx(0.5 * sum(s * s for s in slopes), rel=1e-3)


def test_training_teaches_the_generator_its_classes(tmp_path):
    method = make(loss="logistic", mismatch=0.5, r1=0.05, generator_rate=2e-3, discriminator_rate=4e-3)
    Trainer(method, ThreeGreys(), Settings(steps=250, batch_size=32, ema_decay=0.95), tmp_path, device="cpu").run()
    network = method.generator
    recompute_statistics(network, generator_for(0, "standing"), batches=5, batch_size=32)
    label = torch.arange(3).repeat_interleave(20)
    z = torch.randn(60, 4, generator=generator_for(0, "z"))
    with torch.no_grad():
        grey = ((network(z, network.shared(label)) + 1) / 2).mean(dim=(1, 2, 3)).view(3, 20).mean(dim=1)
    assert grey[0] < grey[1] < grey[2]


def test_standing_statistics_are_moments_of_the_network_itself():
    network = make().generator
    before = copy.deepcopy(network.state_dict())
    recompute_statistics(network, generator_for(0, "standing"), batches=20, batch_size=64)
    assert not network.training
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("stored_mean" in name for name in moved)
    assert not [name for name in moved if name.endswith(("weight", "gamma"))]


def test_an_unknown_loss_is_named():
    with pytest.raises(InputError, match="'wasserstein'; write hinge or logistic"):
        make(loss="wasserstein")
