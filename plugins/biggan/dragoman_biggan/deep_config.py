"""The configuration of a BigGAN-deep generator, in the format of pytorch-pretrained-BigGAN's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dragoman.errors import PackageError

__all__ = ["BOTTOM", "DeepConfig", "Layer"]

#: Channel multiplier of the 4x4 map that the input layer makes.
BOTTOM = 16
_BOTTOM_WIDTH = 4
_MAX_LAYERS = 64

#: One residual block: whether it doubles the map, and the channel multipliers of its input and output.
Layer = tuple[bool, int, int]


def _published_layers(*outputs: int) -> tuple[Layer, ...]:
    """Two blocks per output multiplier: one that keeps the shape, one that doubles the map."""
    inputs = (BOTTOM, *outputs[:-1])
    pairs = (((False, a, a), (True, a, b)) for a, b in zip(inputs, outputs, strict=True))
    return tuple(layer for pair in pairs for layer in pair)


@dataclass(frozen=True)
class DeepConfig:
    """Everything that fixes the network; the defaults are the published 128-pixel model.

    Args:
        output_dim: height and width of the images.
        z_dim: length of z, and of a class embedding.
        channel_width: channels per unit of the multipliers in ``layers``; 4 at least, and 8 where attention stands.
        num_classes: columns of the embedding matrix.
        layers: the residual blocks from the 4x4 map, which has 16 channel units, to the image, which has one; a block
            keeps its channels or halves them.
        attention_layer_position: index of the block before which self-attention stands.
        eps: epsilon of batch normalisation.
        n_stats: rows of batch-norm statistics, evenly spaced over truncations from 0 to 1.
    """

    output_dim: int = 128
    z_dim: int = 128
    channel_width: int = 128
    num_classes: int = 1000
    layers: tuple[Layer, ...] = _published_layers(16, 8, 4, 2, 1)
    attention_layer_position: int = 8
    eps: float = 1e-4
    n_stats: int = 51

    @classmethod
    def published(cls, resolution: int) -> DeepConfig:
        """The configuration of the released ImageNet models, at 128, 256 or 512 pixels."""
        layers = {
            128: _published_layers(16, 8, 4, 2, 1),
            256: _published_layers(16, 8, 8, 4, 2, 1),
            512: _published_layers(16, 8, 8, 4, 2, 1, 1),
        }
        return cls(output_dim=resolution, layers=layers[resolution])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DeepConfig:
        """Read a ``config.json``. Absent keys take the default, as the package that wrote the format does; others,
        such as ``class_embed_dim``, which no weight depends on, are left alone.

        Raises:
            PackageError: an entry is of another kind, or the blocks do not fit each other.
        """
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        if "layers" in known:
            known["layers"] = _layers(known["layers"])
        config = cls(**known)
        config._check()
        return config

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready data, readable by pytorch-pretrained-BigGAN."""
        layers = [list(layer) for layer in self.layers]
        return asdict(self) | {"layers": layers, "class_embed_dim": self.z_dim}

    def _check(self) -> None:
        counts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("layers", "eps")}
        for name, value in counts.items():
            if type(value) is not int or not 0 <= value < 2**31:
                raise PackageError(f"The configuration's {name} cannot be {value!r}; it is a whole number.")
        if not isinstance(self.eps, float) or not 0 < self.eps < 1:
            raise PackageError(f"The configuration's eps cannot be {self.eps!r}; it is a small positive number.")
        if self.channel_width < 4 or self.n_stats < 2 or not self.z_dim or not self.num_classes:
            raise PackageError("The configuration needs channel_width >= 4, n_stats >= 2, and some z and classes.")
        self._check_layers()

    def _check_layers(self) -> None:
        inputs = [layer[1] for layer in self.layers]
        outputs = [layer[2] for layer in self.layers]
        if [BOTTOM, *outputs] != [*inputs, 1]:
            raise PackageError(f"The configuration's layers do not lead from {BOTTOM} channel units to 1 without gaps.")
        if any(b not in (a, a // 2) for a, b in zip(inputs, outputs, strict=True)):
            raise PackageError("The configuration has a layer that neither keeps nor halves its channels.")
        attended = inputs[self.attention_layer_position : self.attention_layer_position + 1]
        if attended and attended[0] * self.channel_width < 8:
            raise PackageError("The configuration's attention stands where there are fewer than 8 channels.")
        size = _BOTTOM_WIDTH * 2 ** sum(layer[0] for layer in self.layers)
        if size != self.output_dim:
            raise PackageError(f"The configuration's layers make {size} pixels, not output_dim {self.output_dim}.")


def _layers(value: Any) -> tuple[Layer, ...]:
    """Checked rows ``[doubles, in, out]``."""
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= _MAX_LAYERS:
        raise PackageError(f"The configuration's layers are no list of 1 to {_MAX_LAYERS} rows.")
    for row in value:
        kinds = [type(item) for item in row] if isinstance(row, (list, tuple)) else []
        if kinds != [bool, int, int] or min(row[1:]) < 1:
            raise PackageError(f"The configuration's layer {row!r} is not [doubles, channels in, channels out].")
    return tuple((row[0], row[1], row[2]) for row in value)
