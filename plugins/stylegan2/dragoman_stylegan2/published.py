"""The named configurations of the official PyTorch releases: networks, and what they were trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dragoman.errors import InputError
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig, channels_for

__all__ = ["PUBLISHED", "Published", "auto", "published"]

_CHANNEL_BASE = 32768
#: Pixels at which ``auto`` takes all channels, and those at which it lowers the learning rate.
_AUTO_FULL, _AUTO_SLOW = 512, 1024


@dataclass(frozen=True)
class Published:
    """One named configuration.

    Args:
        batch_size: images per step.
        learning_rate: of both networks.
        r1_gamma: weight of the R1 penalty.
        ema_kimg: half-life of the generator's moving average, in thousands of images.
        fmaps: factor of the published number of channels.
        mapping_layers: layers of the generator's mapping network.
        mbstd_group: samples of the minibatch standard deviation.
        residual: shortcuts in the discriminator.
        path_length: weight of the path-length penalty.
        style_mixing: share of images made of two styles.
    """

    batch_size: int
    learning_rate: float
    r1_gamma: float
    ema_kimg: float
    fmaps: float = 1.0
    mapping_layers: int = 8
    mbstd_group: int = 4
    residual: bool = True
    path_length: float = 2.0
    style_mixing: float = 0.9

    @property
    def ema_decay(self) -> float:
        """Decay of the moving average per step."""
        return float(0.5 ** (self.batch_size / (self.ema_kimg * 1000)))

    def generator(self, resolution: int, *, image_channels: int = 3, num_classes: int = 0) -> GeneratorConfig:
        """The generator at a resolution."""
        channels = channels_for(resolution, int(_CHANNEL_BASE * self.fmaps))
        return GeneratorConfig(resolution, channels, image_channels, num_classes, self.mapping_layers)

    def discriminator(self, resolution: int, *, image_channels: int = 3, num_classes: int = 0) -> DiscriminatorConfig:
        """The discriminator at a resolution; its mapping network always has 8 layers."""
        channels = channels_for(resolution, int(_CHANNEL_BASE * self.fmaps))
        common = DiscriminatorConfig(resolution, channels, image_channels, num_classes)
        return replace(common, residual=self.residual, mbstd_group=self.mbstd_group, cmap_dim=channels[0])


#: All but ``auto``, which depends on resolution and batch size.
PUBLISHED: dict[str, Published] = {
    "stylegan2": Published(32, 0.002, 10.0, 10.0),
    "paper256": Published(64, 0.0025, 1.0, 20.0, fmaps=0.5, mbstd_group=8),
    "paper512": Published(64, 0.0025, 0.5, 20.0, mbstd_group=8),
    "paper1024": Published(32, 0.002, 2.0, 10.0),
    "cifar": Published(
        64, 0.0025, 0.01, 500.0, mapping_layers=2, mbstd_group=32, residual=False, path_length=0.0, style_mixing=0.0
    ),
}


def auto(resolution: int, batch_size: int, *, devices: int = 1) -> Published:
    """The configuration ``auto``, chosen by resolution and batch size.

    Args:
        resolution: height and width of the images.
        batch_size: images per step, over all devices.
        devices: how many share a batch.
    """
    return Published(
        batch_size,
        0.002 if resolution >= _AUTO_SLOW else 0.0025,
        0.0002 * resolution**2 / batch_size,
        batch_size * 10 / 32,
        fmaps=1.0 if resolution >= _AUTO_FULL else 0.5,
        mapping_layers=2,
        mbstd_group=min(batch_size // devices, 4),
    )


def published(name: str) -> Published:
    """A configuration by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PUBLISHED:
        raise InputError(f"There is no configuration {name!r}; there are {', '.join(PUBLISHED)}, and auto().")
    return PUBLISHED[name]
