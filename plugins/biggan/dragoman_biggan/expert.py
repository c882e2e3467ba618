"""The expert: z and a class to an image, with a BigGAN of either published family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from dragoman.errors import InputError, PortError
from dragoman.expert import Atoms, Expert
from dragoman.folder import write_folder
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_biggan.checkpoint import load_network, read_config
from dragoman_biggan.families import family_of

__all__ = ["BigGAN"]


class BigGAN(Expert):
    """A class-conditional generator (Brock, Donahue, Simonyan 2019, arXiv:1809.11096), BigGAN or BigGAN-deep.

    Ports:

    - ``latent``: z and a class embedding, one after the other; what a translator aims at;
    - ``class_embedding``: any point of the embedding space, decoded with ``z=`` or with a z drawn from ``generator=``;
    - ``label``: class numbers, decoded likewise;
    - ``z``: can be drawn, but not decoded: without a class it means nothing;
    - ``image``: what :meth:`decode` returns.

    z stands everywhere at full variety, distributed as in training. Truncation is applied where an image is made: one
    and the same latent can be rendered at several truncations.

    Args:
        config: content of a ``config.json`` of either family.
        network: the generator that it describes. It is frozen, so pass a copy of one that is still trained.

    Attributes:
        family: which of the two, and how they differ.
        sizes: sizes of the checkpoint.
        network: the generator.
    """

    def __init__(self, config: Mapping[str, Any], network: nn.Module) -> None:
        super().__init__(config)
        self.family = family_of(config)
        self.sizes = self.family.sizes(config)
        # As the maps of the plain family are; several times faster on a CPU than converting at each layer.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.freeze()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint: the layouts of pytorch-pretrained-BigGAN and BigGAN-PyTorch, or :meth:`save_pretrained`'s.

        Weights are float32, whatever the type they are stored in; another one can be asked of :meth:`from_pretrained`.

        Raises:
            PackageError: files are missing, damaged, or of another architecture; see
                :mod:`dragoman_biggan.checkpoint`.
        """
        config = read_config(folder)
        return cls(config, load_network(folder, config))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint.

        Raises:
            PackageError: the configuration is of another architecture, or cannot be.
        """
        family = family_of(config)
        sizes = family.sizes(config)
        scale = f"z {family.prior}, embedding as stored"
        image = (sizes.channels, sizes.resolution, sizes.resolution)
        ports = (
            Port("latent", "vector", (sizes.z + sizes.embedding,), normalisation=scale, takes=True),
            Port("class_embedding", "vector", (sizes.embedding,), normalisation="as stored", gives=True, takes=True),
            Port("label", "label", (), dtype="int64", normalisation=f"0 to {sizes.classes - 1}", takes=True),
            Port("z", "vector", (sizes.z,), normalisation=family.prior),
            Port("image", "image", image, normalisation="[0, 1]"),
        )
        return {port.name: port for port in ports}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, which :meth:`from_pretrained` reads back bit for bit.

        Raises:
            InputError: the folder cannot be written.
        """
        write_folder(Path(folder), self.config, self.network.state_dict())

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Class numbers to class embeddings.

        Args:
            inputs: list of int, or int64 ``[B]``.
            port: ``class_embedding``.
            generator: not used; a class has one embedding.

        Returns:
            Float32 ``[B, embedding]``.

        Raises:
            PortError: the port is another one.
            InputError: the inputs are no class numbers, or there is no such class.
        """
        if not self.port(port).gives:
            raise PortError(f"BigGAN does not encode to {port!r}; it gives class_embedding, for class numbers.")
        return self._embed(inputs)

    def decode(
        self,
        representation: Representation,
        port: str,
        *,
        truncation: float = 1.0,
        statistics: str = "exact",
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
        **knobs: Any,
    ) -> Tensor:
        """Render images. Gradients flow to what is decoded, and to ``z``; the network stays frozen.

        Args:
            representation: ``[B, D]`` at ``latent`` or ``class_embedding``, int64 ``[B]`` at ``label``.
            port: one of these.
            truncation: variety against typicality, in (0, 1]: z is multiplied by it, and BigGAN-deep normalises with
                the statistics that were recorded for it.
            statistics: how BigGAN-deep finds these: ``"exact"``, or ``"pip"`` with the defects of
                pytorch-pretrained-biggan 0.1.1, to repeat pictures made with it.
            z: ``[B, z]`` for the ports that have none of their own.
            generator: draws z row by row, where it is neither in the representation nor given.
            **knobs: none.

        Returns:
            Float32 ``[B, channels, resolution, resolution]`` in [0, 1].

        Raises:
            PortError: the port cannot be decoded.
            InputError: a shape, a class number or a knob cannot be.
        """
        if knobs:
            raise InputError(f"BigGAN has no knob {min(knobs)!r}; it has truncation, statistics, z and generator.")
        if not self.port(port).takes:
            raise PortError(f"BigGAN does not decode {port!r}; it takes latent, class_embedding or label.")
        if port == "latent":
            z, embedding = self._split(representation, z)
        else:
            embed = self._embed if port == "label" else partial(self._checked_rows, port=port)
            z, embedding = self._with_z(embed(representation), z, generator)
        weight = next(self.network.parameters())
        images = self.family.render(self.network, z.to(weight), embedding.to(weight), truncation, statistics)
        return (images.float() + 1) / 2

    def draw(self, port: str, n: int, *, generator: torch.Generator, spread: float = 1.0, **knobs: Any) -> Tensor:
        """Samples of z as in training, of classes with equal probability, or of both, row by row.

        For ``latent`` each row draws its z first and its class second, so that any batch size gives the same rows.

        Args:
            port: any but ``image``.
            n: number of samples.
            generator: the source of randomness, on any device.
            spread: factor of z. Above 1 samples are more varied than in training, and less often typical.
            **knobs: none; truncation belongs to :meth:`decode`.

        Returns:
            ``[n, D]`` float32, or int64 ``[n]`` at ``label``.

        Raises:
            PortError: there is nothing to draw at that port.
            InputError: the spread is not positive, or another knob was given.
        """
        if knobs:
            raise InputError(f"BigGAN draws without {min(knobs)!r}; truncation is a knob of decode.")
        if not 0 < spread < math.inf:
            raise InputError(f"spread must be a positive number, not {spread}.")
        draws = {
            "latent": self._draw_latents,
            "class_embedding": self._draw_embeddings,
            "label": self._draw_labels,
            "z": self._draw_z,
        }
        if self.port(port).name not in draws:
            raise PortError(f"BigGAN draws no {port!r}; it draws {', '.join(draws)}.")
        drawn = draws[port](n, generator)
        if port in ("latent", "z"):
            drawn[:, : self.sizes.z] *= spread
        return drawn

    def atoms(self, port: str) -> Atoms | None:
        """The class embeddings: where they stand in ``latent`` and ``class_embedding``, and their values."""
        starts = {"latent": self.sizes.z, "class_embedding": 0}
        return Atoms(starts[port], self._table.float().clone()) if port in starts else None

    @property
    def _table(self) -> Tensor:
        return self.family.embeddings(self.network).detach()

    def _draw_z(self, n: int, generator: torch.Generator) -> Tensor:
        return self._stack([self._one_z(generator) for _ in range(n)], torch.empty(0, self.sizes.z))

    def _draw_labels(self, n: int, generator: torch.Generator) -> Tensor:
        return self._stack([self._one_label(generator) for _ in range(n)], torch.empty(0, dtype=torch.long))

    def _draw_embeddings(self, n: int, generator: torch.Generator) -> Tensor:
        return self._embed(self._draw_labels(n, generator))

    def _draw_latents(self, n: int, generator: torch.Generator) -> Tensor:
        rows = [(self._one_z(generator), self._one_label(generator)) for _ in range(n)]
        z = self._stack([z for z, _ in rows], torch.empty(0, self.sizes.z))
        labels = self._stack([label for _, label in rows], torch.empty(0, dtype=torch.long))
        return torch.cat([z, self._embed(labels)], dim=1)

    def _one_z(self, generator: torch.Generator) -> Tensor:
        return self.family.draw_z(self.sizes.z, generator)

    def _one_label(self, generator: torch.Generator) -> Tensor:
        return torch.randint(self.sizes.classes, (), generator=generator, device=generator.device)

    def _stack(self, rows: list[Tensor], none: Tensor) -> Tensor:
        return (torch.stack(rows) if rows else none).to(self._table.device)

    def _embed(self, labels: Any) -> Tensor:
        return self._table[self._checked_labels(labels)].float()

    def _checked_labels(self, labels: Any) -> Tensor:
        numbers = isinstance(labels, Sequence) and all(type(label) is int for label in labels)
        tensor = torch.tensor(labels, dtype=torch.long) if numbers else labels
        if not isinstance(tensor, Tensor) or tensor.dtype != torch.long or tensor.ndim != 1:
            raise InputError("BigGAN takes class numbers as a list of int or an int64 tensor of one dimension.")
        wrong = tensor[(tensor < 0) | (tensor >= self.sizes.classes)]
        if len(wrong):
            raise InputError(
                f"There is no class {int(wrong[0])}; this BigGAN has classes 0 to {self.sizes.classes - 1}."
            )
        return tensor.to(self._table.device)

    def _split(self, latent: Representation, z: Tensor | None) -> tuple[Tensor, Tensor]:
        """The two parts of a latent."""
        if z is not None:
            raise InputError("A latent has a z of its own; leave z out, or decode class_embedding.")
        rows = self._checked_rows(latent, "latent")
        return rows[:, : self.sizes.z], rows[:, self.sizes.z :]

    def _with_z(self, embedding: Tensor, z: Tensor | None, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The given z, or a drawn one, beside class embeddings."""
        if z is None and generator is None:
            raise InputError("Without a z there is no image: pass z=, or generator= to draw one.")
        if z is None and generator is not None:
            z = self._draw_z(len(embedding), generator)
        z = self._checked_rows(z, "z")
        if len(z) != len(embedding):
            raise InputError(f"{len(z)} z were given for {len(embedding)} classes; pass one for each.")
        return z, embedding

    def _checked_rows(self, rows: Representation | None, port: str) -> Tensor:
        (size,) = self.ports[port].shape
        if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.shape[1] != size:
            found = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise InputError(f"BigGAN takes {port} as a float tensor [B, {size}], not {found}.")
        return rows
