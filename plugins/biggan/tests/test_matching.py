import pytest
import torch

from dragoman.errors import PortError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_biggan.matching import EnergyMatching, _energy
from dragoman_biggan.plain import Generator, PlainConfig
from dragoman_biggan.standing import recompute_statistics

CONFIG = PlainConfig(
    resolution=8,
    channels=4,
    generator=(2, 1),
    z_dim=4,
    shared_dim=4,
    num_classes=2,
    attention=(),
    image_channels=1,
)


class Eye(Expert):
    """Sees brightness, and a map of 4 x 4."""

    reads = "image"

    @classmethod
    def describe(cls, config):
        ports = Port("brightness", "vector", (1,), gives=True), Port("map", "map", (1, 4, 4), gives=True)
        return {port.name: port for port in ports}

    def encode(self, inputs, port, *, generator=None):
        self.port(port)
        return inputs.mean(dim=(1, 2, 3))[:, None] if port == "brightness" else inputs[:, :, ::2, ::2]


class TwoRanges:
    """Real images: class 0 is of any grey up to the middle, class 1 from there."""

    def batch(self, size, generator):
        label = torch.randint(2, (size,), generator=generator)
        grey = 0.5 * label + 0.5 * torch.rand(size, generator=generator)
        return {"image": grey[:, None, None, None].expand(-1, 1, 8, 8).clone(), "label": label}


def make(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return EnergyMatching(Generator(CONFIG), {name: (Eye({}), name) for name in ("brightness", "map")}, **options)


def distance(made, real):
    return float(_energy(made, real, torch.ones(len(made), len(made), dtype=torch.bool)).mean())


def test_losses_are_named_and_per_sample():
    losses = make()("match", TwoRanges().batch(12, generator_for(0, "batch")), generator_for(0, "match"))
    assert set(losses) == {"pixels", "brightness", "map"}
    assert all(loss.shape == (12,) and loss.isfinite().all() for loss in losses.values())


def test_the_distance_is_nothing_between_equal_distributions_and_sees_place_and_spread():
    source = generator_for(0, "features")
    one, other = (torch.randn(2000, 3, generator=source) for _ in range(2))
    assert abs(distance(one, other)) < 0.005
    assert distance(one + 1, other) > 0.1
    assert distance(0.5 * one, other) > 0.05
    assert distance(2 * one, other) > 0.05


def test_images_of_other_classes_do_not_count():
    source = generator_for(0, "features")
    made, real, label = torch.randn(8, 3, generator=source), torch.randn(8, 3, generator=source), torch.arange(8) % 2
    same = label[:, None] == label[None]
    moved = torch.where(label[:, None] == 1, made + 100, made)
    before, after = (_energy(each, real, same)[label == 0] for each in (made, moved))
    assert torch.equal(before, after)


def test_a_class_with_one_image_says_nothing():
    losses = make()("match", TwoRanges().batch(1, generator_for(0, "batch")), generator_for(0, "match"))
    assert all(loss.tolist() == [0] for loss in losses.values())


def test_an_unknown_port_is_refused():
    with pytest.raises(PortError, match="elsewhere"):
        EnergyMatching(Generator(CONFIG), {"eye": (Eye({}), "elsewhere")})


def test_training_gives_each_class_the_place_and_variety_of_real_images(tmp_path):
    method = make(learning_rate=5e-3)
    settings = Settings(steps=300, batch_size=64, ema_decay=0.95)
    Trainer(method, TwoRanges(), settings, tmp_path, device="cpu").run()
    network = method.generator
    recompute_statistics(network, generator_for(0, "standing"))
    label = torch.arange(2).repeat_interleave(500)
    z = torch.randn(1000, CONFIG.z_dim, generator=generator_for(0, "z"))
    with torch.no_grad():
        grey = ((network(z, network.shared(label)) + 1) / 2).mean(dim=(1, 2, 3)).view(2, 500)
    assert grey.mean(dim=1).tolist() == pytest.approx([0.25, 0.75], abs=0.05)
    assert grey.std(dim=1).tolist() == pytest.approx([0.5 / 12**0.5] * 2, rel=0.2)
