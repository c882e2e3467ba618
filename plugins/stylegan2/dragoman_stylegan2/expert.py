"""The expert: latents and styles to images with the generator, images to features with the discriminator."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.folder import write_folder
from dragoman.ports import Port
from dragoman.representation import Representation, randn_rows
from dragoman_stylegan2.checkpoint import MODEL_TYPE, load_networks, read_config
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.generator import Generator, truncate
from dragoman_stylegan2.synthesis import Plane

__all__ = ["NOISE", "StyleGAN2"]

#: Ways to fill the noise inputs: the checkpoint's planes, fresh ones, or none.
NOISE = ("const", "random", "none")
_KNOBS = ("z", "label", "truncation", "truncation_cutoff", "noise", "generator")


class StyleGAN2(Expert):
    """StyleGAN2 (Karras et al. 2020, arXiv:1912.04958).

    Ports:

    - ``w``: one style for all layers; what a translator usually aims at;
    - ``w_plus``: a style for each layer, one after the other;
    - ``z``: the latent that is mapped to a style, with ``label=`` where there are classes;
    - ``label``: class numbers, decoded with ``z=`` or a z drawn from ``generator=``; only where there are classes;
    - ``image``: what :meth:`decode` returns;
    - ``features``, ``pooled``: the discriminator's last map, and its mean over positions; only where there is one. They
      stand before the minibatch statistic, so that they do not depend on the other images of a batch.

    Styles stand everywhere at full variety. Truncation is applied where an image is made.

    Args:
        config: content of a ``config.json``.
        networks: ``generator`` and, where ``config`` has one, ``discriminator``. They are frozen, so pass copies of
            those that are still trained.

    Attributes:
        networks: the networks by name.
    """

    reads: ClassVar[str] = "image"

    def __init__(self, config: Mapping[str, Any], networks: nn.ModuleDict) -> None:
        super().__init__(config)
        # Faster on a CPU than converting at each layer.
        self.networks = networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.freeze()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read what :meth:`save_pretrained` or ``dragoman convert stylegan2`` wrote, in float32.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config = read_config(folder)
        cls.describe(config)  # what cannot be is said before any weights are read
        return cls(config, load_networks(folder, config))

    @classmethod
    def from_networks(cls, generator: Generator, discriminator: Discriminator | None = None) -> Self:
        """An expert of copies of networks, which may be trained on."""
        networks: dict[str, Generator | Discriminator] = {"generator": generator}
        if discriminator is not None:
            networks["discriminator"] = discriminator
        config = {"model_type": MODEL_TYPE} | {name: network.config.to_dict() for name, network in networks.items()}
        return cls(config, copy.deepcopy(nn.ModuleDict(networks)))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint.

        Raises:
            PackageError: the configuration cannot be.
        """
        made = GeneratorConfig.from_dict(config.get("generator"))
        image = (made.image_channels, made.resolution, made.resolution)
        ports = [
            Port("w", "vector", (made.w_dim,), normalisation="as mapped", takes=True),
            Port("w_plus", "vector", (made.num_ws * made.w_dim,), normalisation="as mapped", takes=True),
            Port("z", "vector", (made.z_dim,), normalisation="standard normal", takes=True),
            Port("image", "image", image, normalisation="[0, 1]"),
        ]
        if made.num_classes:
            scale = f"0 to {made.num_classes - 1}"
            ports.insert(3, Port("label", "label", (), dtype="int64", normalisation=scale, takes=True))
        if "discriminator" in config:
            width = DiscriminatorConfig.from_dict(config["discriminator"]).channels[0]
            ports += [
                Port("features", "map", (width, 4, 4), gives=True),
                Port("pooled", "vector", (width,), gives=True),
            ]
        return {port.name: port for port in ports}

    @property
    def generator(self) -> Generator:
        """The generator."""
        network = self.networks["generator"]
        assert isinstance(network, Generator)
        return network

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator, if the checkpoint has one."""
        network = dict(self.networks.items()).get("discriminator")
        assert network is None or isinstance(network, Discriminator)
        return network

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, which :meth:`from_pretrained` reads back.

        Raises:
            InputError: the folder cannot be written.
        """
        write_folder(Path(folder), self.config, self.networks.state_dict())

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """The discriminator's view of images; gradients flow to them.

        Args:
            inputs: float ``[B, C, H, W]`` in [0, 1] of any size; other sizes than the network's are resampled.
            port: ``features`` or ``pooled``.
            generator: not used.

        Returns:
            ``[B, D, 4, 4]`` or ``[B, D]``, float32.

        Raises:
            PortError: the port is another one, or the checkpoint has no discriminator.
            InputError: the inputs are no such images.
        """
        if not self.port(port).gives or self.discriminator is None:
            raise PortError(f"StyleGAN2 does not encode to {port!r}; its discriminator gives features and pooled.")
        maps = self.discriminator.features(self._images(inputs, self.discriminator) * 2 - 1).float()
        return maps if port == "features" else maps.mean(dim=(2, 3))

    def decode(
        self,
        representation: Representation,
        port: str,
        *,
        z: Tensor | None = None,
        label: Tensor | Sequence[int] | None = None,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: str = "const",
        generator: torch.Generator | None = None,
        **knobs: Any,
    ) -> Tensor:
        """Render images. Gradients flow to what is decoded, and to ``z``; the network stays frozen.

        Args:
            representation: ``[B, D]`` at ``w``, ``w_plus`` (or ``[B, layers, w]``) and ``z``; int64 ``[B]`` at
                ``label``.
            port: one of these.
            z: ``[B, z]`` for the port ``label``.
            label: class numbers for the port ``z``, where there are classes.
            truncation: styles are moved towards their mean: 0 is the mean, 1 full variety.
            truncation_cutoff: how many layers, from the coarsest, are truncated; all when omitted.
            noise: ``"const"`` for the checkpoint's planes, ``"random"`` for fresh ones, ``"none"``.
            generator: draws, row by row, a missing z and then the noise.
            **knobs: none.

        Returns:
            Float32 ``[B, channels, resolution, resolution]`` in [0, 1].

        Raises:
            PortError: the port cannot be decoded.
            InputError: a shape, a class number or a knob cannot be.
        """
        if knobs:
            raise InputError(f"StyleGAN2 has no knob {min(knobs)!r}; it has {', '.join(_KNOBS)}.")
        if not self.port(port).takes:
            raise PortError(f"StyleGAN2 does not decode {port!r}; it takes {', '.join(self._taken)}.")
        if (z is not None and port != "label") or (label is not None and port != "z"):
            raise InputError("z= belongs to the port 'label', and label= to the port 'z'.")
        self._check_truncation(truncation, truncation_cutoff)
        count = len(representation) if isinstance(representation, Tensor | list) else 0
        drawn, planes = self._draw_inputs(count, port == "label" and z is None, noise, generator)
        ws = self._styles(representation, port, drawn if z is None else z, label)
        ws = truncate(ws, self.generator.mapping.w_avg, truncation, truncation_cutoff)
        images: Tensor = self.generator.synthesis(ws, planes)
        return ((images.float() + 1) / 2).clamp(0, 1)

    def draw(self, port: str, n: int, *, generator: torch.Generator, **knobs: Any) -> Tensor:
        """Samples as in training, row by row, of classes with equal probability.

        Args:
            port: ``w``, ``w_plus``, ``z`` or ``label``.
            n: number of samples.
            generator: the source of randomness, on any device.
            **knobs: none; truncation belongs to :meth:`decode`.

        Returns:
            ``[n, D]`` float32, or int64 ``[n]`` at ``label``.

        Raises:
            PortError: there is nothing to draw at that port.
            InputError: a knob was given.
        """
        if knobs:
            raise InputError(f"StyleGAN2 draws without {min(knobs)!r}; truncation is a knob of decode.")
        if not self.port(port).takes:
            raise PortError(f"StyleGAN2 draws no {port!r}; it draws {', '.join(self._taken)}.")
        if port == "label":
            return self._draw_labels(n, generator)
        if port == "z":
            return self._draw_z(n, generator)
        w = self._draw_w(n, generator)
        return w if port == "w" else w.repeat(1, self.generator.config.num_ws)

    def mean_style(self) -> Tensor:
        """The mean of styles over latents, ``[w]``, which truncation leads to."""
        return self.generator.mapping.w_avg.detach().clone()

    @property
    def _taken(self) -> list[str]:
        return [port.name for port in self.ports.values() if port.takes]

    @property
    def _device(self) -> torch.device:
        return self.generator.mapping.w_avg.device

    def _draw_z(self, n: int, generator: torch.Generator) -> Tensor:
        return randn_rows(n, self.generator.config.z_dim, generator).to(self._device)

    def _draw_labels(self, n: int, generator: torch.Generator) -> Tensor:
        classes = self.generator.config.num_classes
        rows = [torch.randint(classes, (1,), generator=generator, device=generator.device) for _ in range(n)]
        return (torch.cat(rows) if rows else torch.empty(0, dtype=torch.long)).to(self._device)

    def _draw_w(self, n: int, generator: torch.Generator) -> Tensor:
        conditional = bool(self.generator.config.num_classes)
        pairs = [
            (self._draw_z(1, generator), self._draw_labels(1, generator) if conditional else None) for _ in range(n)
        ]
        if not pairs:
            return torch.empty(0, self.generator.config.w_dim, device=self._device)
        z = torch.cat([z for z, _ in pairs])
        labels = torch.cat([label for _, label in pairs if label is not None]) if conditional else None
        w: Tensor = self.generator.mapping(z, labels)
        return w.float()

    def _draw_inputs(
        self, count: int, with_z: bool, noise: str, generator: torch.Generator | None
    ) -> tuple[Tensor | None, list[Plane] | None]:
        """A z where one is wanted, and planes of noise; each row draws its own one after the other."""
        if noise not in NOISE:
            raise InputError(f"noise must be {' or '.join(map(repr, NOISE))}, not {noise!r}.")
        sizes, random = self.generator.synthesis.noise_sizes, noise == "random"
        if (with_z or random) and generator is None:
            raise InputError("A z or noise has to be drawn: pass generator=, or z= and noise='const'.")
        z_dim = self.generator.config.z_dim if with_z else 0
        lengths = [z_dim, *(size**2 if random else 0 for size in sizes)]
        z, *planes = randn_rows(count, sum(lengths), generator).to(self._device).split(lengths, dim=1)
        shaped = [plane.view(-1, 1, size, size) for plane, size in zip(planes, sizes, strict=True)] if random else []
        if noise == "const":
            return (z if with_z else None), None
        return (z if with_z else None), [*shaped] if random else [None] * len(sizes)

    def _styles(
        self, representation: Representation, port: str, z: Tensor | None, label: Tensor | Sequence[int] | None
    ) -> Tensor:
        """``[B, num_ws, w_dim]`` of what stands at a port."""
        config, dtype = self.generator.config, self.generator.mapping.w_avg.dtype
        dtype = torch.promote_types(dtype, torch.float32)
        if port == "w_plus":
            rows = self._rows(self._flat(representation), port).to(dtype)
            return rows.reshape(-1, config.num_ws, config.w_dim)
        if port == "w":
            return self._rows(representation, port).to(dtype)[:, None].expand(-1, config.num_ws, -1)
        labels = representation if port == "label" else label
        rows = self._rows(representation if port == "z" else z, "z")
        return self.generator.styles(rows, self._labels(labels, len(rows)))

    def _flat(self, styles: Representation) -> Representation:
        """``[B, num_ws, w_dim]`` as ``[B, num_ws * w_dim]``; anything else as it is."""
        config = self.generator.config
        layered = isinstance(styles, Tensor) and styles.shape[1:] == (config.num_ws, config.w_dim)
        return styles.flatten(1) if layered and isinstance(styles, Tensor) else styles

    def _labels(self, labels: Any, count: int) -> Tensor | None:
        classes = self.generator.config.num_classes
        if labels is None and not classes:
            return None
        if labels is None or not classes:
            way_out = "pass label=" if classes else "leave label= out"
            raise InputError(f"This StyleGAN2 has {classes} classes; {way_out}.")
        numbers = isinstance(labels, Sequence) and all(type(label) is int for label in labels)
        tensor = torch.tensor(labels, dtype=torch.long) if numbers else labels
        if not isinstance(tensor, Tensor) or tensor.dtype != torch.long or tensor.shape != (count,):
            raise InputError(f"StyleGAN2 takes a class number for each of {count} images, as ints or int64 [B].")
        wrong = tensor[(tensor < 0) | (tensor >= classes)]
        if len(wrong):
            raise InputError(f"There is no class {int(wrong[0])}; this StyleGAN2 has classes 0 to {classes - 1}.")
        return tensor.to(self._device)

    def _rows(self, rows: Representation | None, port: str) -> Tensor:
        (size,) = self.ports[port].shape
        if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] != size:
            found = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise InputError(f"StyleGAN2 takes {port} as a float tensor [B, {size}], not {found}.")
        return rows.to(self._device)

    def _check_truncation(self, truncation: float, cutoff: int | None) -> None:
        if isinstance(truncation, bool) or not isinstance(truncation, int | float) or not isfinite(truncation):
            raise InputError(f"truncation must be a number, 0 for the mean and 1 for full variety, not {truncation!r}.")
        layers = self.generator.config.num_ws
        if cutoff is not None and (type(cutoff) is not int or not 0 <= cutoff <= layers):
            raise InputError(f"truncation_cutoff counts layers, 0 to {layers}, not {cutoff!r}.")

    def _images(self, images: Any, network: Discriminator) -> Tensor:
        channels, size = network.config.image_channels, network.config.resolution
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != channels:
            found = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise InputError(f"StyleGAN2 reads images as a float tensor [B, {channels}, H, W], not {found}.")
        placed: Tensor = images.to(self._device)
        if placed.shape[-2:] == (size, size):
            return placed
        return F.interpolate(placed, (size, size), mode="bilinear", antialias=True)
