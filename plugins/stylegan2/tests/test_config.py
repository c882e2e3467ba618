import pytest

from dragoman.errors import InputError, PackageError
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig, channels_for
from dragoman_stylegan2.published import PUBLISHED, auto, published


def test_channels_follow_the_published_rule():
    assert channels_for(1024) == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert channels_for(32, base=1024, most=64) == (64, 64, 64, 32)


def test_configurations_survive_json():
    for config in (published("cifar").generator(32, num_classes=10), published("cifar").discriminator(32)):
        assert type(config).from_dict(config.to_dict()) == config


@pytest.mark.parametrize("resolution", [8, 32, 2048])
def test_every_power_of_two_from_8_is_a_resolution(resolution):
    config = GeneratorConfig(resolution, channels_for(resolution, 4096, 8), image_channels=1)
    assert config.sizes[-1] == resolution
    assert config.num_ws == 2 * (resolution.bit_length() - 1) - 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 24}, "resolution of 24"),
        ({"resolution": 4, "channels": [8]}, "power of two"),
        ({"channels": [8, 0, 8]}, "channels cannot be"),
        ({"channels": 8}, "channels cannot be"),
        ({"image_channels": 0}, "image_channels cannot be 0"),
        ({"num_classes": -1}, "num_classes cannot be -1"),
        ({"mapping_layers": True}, "mapping_layers cannot be True"),
        ({"mapping_layers": 1000}, "at most 64"),
        ({"conv_clamp": float("nan")}, "conv_clamp cannot be nan"),
        ({"conv_clamp": 2**2000}, "conv_clamp cannot be 1"),
        ({"mapping_rate": "fast"}, "mapping_rate cannot be 'fast'"),
        ({"w_dim": 2**40}, "w_dim cannot be"),
        ({"depth": 3}, "no entry 'depth'"),
    ],
)
def test_configurations_that_cannot_be_are_refused(changes, message):
    sound = GeneratorConfig(16, (8, 8, 8)).to_dict()
    with pytest.raises(PackageError, match=message):
        GeneratorConfig.from_dict(sound | changes)


def test_other_sizes_of_the_discriminator_are_checked():
    sound = DiscriminatorConfig(16, (8, 8, 8)).to_dict()
    for changes, message in (
        ({"residual": 1}, "residual cannot be 1"),
        ({"mbstd_channels": 3}, "split into 3"),
        ({"mbstd_group": 0}, "mbstd_group cannot be 0"),
    ):
        with pytest.raises(PackageError, match=message):
            DiscriminatorConfig.from_dict(sound | changes)
    with pytest.raises(PackageError, match="lacks 'channels'"):
        DiscriminatorConfig.from_dict({"resolution": 16})
    with pytest.raises(PackageError, match="object of entries"):
        DiscriminatorConfig.from_dict([1])


def test_auto_follows_resolution_and_batch():
    small, large = auto(256, 64, devices=8), auto(1024, 32, devices=8)
    assert (small.learning_rate, large.learning_rate) == (0.0025, 0.002)
    assert (small.fmaps, large.fmaps) == (0.5, 1.0)
    assert small.r1_gamma == pytest.approx(0.0002 * 256**2 / 64)
    assert small.ema_kimg == pytest.approx(20)
    assert auto(32, 8, devices=4).mbstd_group == 2


def test_the_average_halves_in_so_many_images():
    for configuration in PUBLISHED.values():
        steps = configuration.ema_kimg * 1000 / configuration.batch_size
        assert configuration.ema_decay**steps == pytest.approx(0.5)


def test_an_unknown_configuration_is_named():
    with pytest.raises(InputError, match="no configuration 'paper128'; there are stylegan2, paper256"):
        published("paper128")
