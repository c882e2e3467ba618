"""What fixes the two networks. The published models and the mini are tables of channels for one implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dragoman.errors import PackageError

__all__ = ["BOTTOM", "DiscriminatorConfig", "GeneratorConfig", "channels_for"]

#: Height and width of the map at which the generator begins and the discriminator ends.
BOTTOM = 4
_LARGEST = 2**20
_LARGEST_NUMBER = 1e30
_MOST_LAYERS = 64
_MOST_DOUBLINGS = 14


def channels_for(resolution: int, base: int = 32768, most: int = 512) -> tuple[int, ...]:
    """Channels at 4, 8, ..., ``resolution`` pixels by the published rule, ``min(base // size, most)``.

    >>> channels_for(32, base=1024, most=64)
    (64, 64, 64, 32)
    """
    doublings = max(resolution // BOTTOM, 1).bit_length()
    return tuple(min(base // (BOTTOM << level), most) for level in range(doublings))


@dataclass(frozen=True)
class _Network:
    """What both networks have.

    Args:
        resolution: height and width of the images, a power of two of at least 8.
        channels: channels of the maps of 4, 8, ..., ``resolution`` pixels.
        image_channels: 3 for colour, 1 for grey.
        num_classes: number of classes, 0 for unconditional networks.
        mapping_layers: fully connected layers of the mapping network.
        mapping_rate: learning-rate multiplier of these layers.
        conv_clamp: bound on the values behind each convolution, or ``None``; needed for half precision.
        num_fp16_res: how many of the highest resolutions are computed in half precision on CUDA.
    """

    resolution: int
    channels: tuple[int, ...]
    image_channels: int = 3
    num_classes: int = 0
    mapping_layers: int = 8
    mapping_rate: float = 0.01
    conv_clamp: float | None = 256.0
    num_fp16_res: int = 4

    def __post_init__(self) -> None:
        self._check_counts("image_channels", "mapping_layers")
        self._check_counts("num_classes", "num_fp16_res", least=0)
        if self.mapping_layers > _MOST_LAYERS:
            raise PackageError(f"mapping_layers cannot be {self.mapping_layers}; at most {_MOST_LAYERS}.")
        _check_positive("mapping_rate", self.mapping_rate)
        if self.conv_clamp is not None:
            _check_positive("conv_clamp", self.conv_clamp)
        _check_channels(self.resolution, self.channels)

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises:
            PackageError: an entry is missing, unknown, or cannot be.
        """
        if not isinstance(data, Mapping):
            raise PackageError(f"A configuration of StyleGAN2 is an object of entries, not {data!r}.")
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise PackageError(f"A configuration of StyleGAN2 has no entry {min(map(str, unknown))!r}.")
        missing = {"resolution", "channels"} - set(data)
        if missing:
            raise PackageError(f"A configuration of StyleGAN2 lacks {min(missing)!r}.")
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready data."""
        return asdict(self) | {"channels": list(self.channels)}

    @property
    def sizes(self) -> tuple[int, ...]:
        """4, 8, ..., ``resolution``."""
        return tuple(BOTTOM << level for level in range(len(self.channels)))

    def halves(self, size: int) -> bool:
        """Whether the maps of that size are computed in half precision where there is CUDA; those of 4 never are."""
        return size > BOTTOM and size in self.sizes[len(self.sizes) - min(self.num_fp16_res, len(self.sizes)) :]

    def _check_counts(self, *names: str, least: int = 1) -> None:
        for name in names:
            value = getattr(self, name)
            if type(value) is not int or not least <= value < _LARGEST:
                raise PackageError(f"{name} cannot be {value!r}; it is a whole number of at least {least}.")


@dataclass(frozen=True)
class GeneratorConfig(_Network):
    """Everything that fixes a generator (skip architecture, Karras et al. 2020, figure 7).

    Args:
        z_dim: length of z.
        w_dim: length of a style w.
    """

    z_dim: int = 512
    w_dim: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_counts("z_dim", "w_dim")

    @property
    def num_ws(self) -> int:
        """Layers that take a style: two for each size, the last RGB layer included."""
        return 2 * len(self.channels)


@dataclass(frozen=True)
class DiscriminatorConfig(_Network):
    """Everything that fixes a discriminator.

    Args:
        residual: blocks with a shortcut; without, they are plain (configuration ``cifar``).
        cmap_dim: length of a class's projection.
        mbstd_group: most samples over which the minibatch standard deviation is taken.
        mbstd_channels: maps that it adds.
    """

    residual: bool = True
    cmap_dim: int = 512
    mbstd_group: int = 4
    mbstd_channels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_counts("cmap_dim", "mbstd_group", "mbstd_channels")
        if not isinstance(self.residual, bool):
            raise PackageError(f"residual cannot be {self.residual!r}; it is true or false.")
        if self.channels[0] % self.mbstd_channels:
            raise PackageError(
                f"{self.channels[0]} channels cannot be split into {self.mbstd_channels} mbstd_channels."
            )


def _check_positive(name: str, value: object) -> None:
    # NaN is in no range; whole numbers beyond all floats are not in this one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST_NUMBER:
        raise PackageError(f"{name} cannot be {value!r}; it is a positive number.")


def _check_channels(resolution: object, channels: object) -> None:
    counts = isinstance(channels, tuple) and all(type(count) is int and 0 < count < _LARGEST for count in channels)
    if not counts:
        raise PackageError(f"channels cannot be {channels!r}; it is a list of positive whole numbers.")
    assert isinstance(channels, tuple)
    if not 2 <= len(channels) <= _MOST_DOUBLINGS or resolution != BOTTOM << (len(channels) - 1):
        raise PackageError(
            f"A resolution of {resolution!r} does not go with {len(channels)} numbers of channels; it is a power of two"
            f" of at least {2 * BOTTOM}, with one number for each of {BOTTOM}, {2 * BOTTOM}, ... up to it."
        )
