"""Experts: frozen pretrained networks with named ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, Unpack

import torch
from torch import Tensor, nn

from dragoman.access import AccessOptions, using
from dragoman.errors import PortError
from dragoman.knobs import Knob
from dragoman.ports import Port, choose_port
from dragoman.representation import Representation
from dragoman.stores import Location, locate

__all__ = ["Atoms", "Expert", "Origin"]


@dataclass(frozen=True)
class Origin:
    """Where an expert's weights came from: what a package needs to name it.

    Attributes:
        address: Hub id or folder.
        revision: 40-hex commit, or ``""``.
        folder: local folder with the files.
        subfolder: where they stand inside the repository, or ``""``.
    """

    address: str
    revision: str
    folder: Path
    subfolder: str = ""


class Atoms(NamedTuple):
    """Coordinates of a vector port that take only a few values, such as a generator's class embedding.

    Attributes:
        start: first coordinate.
        values: ``[K, d]``, the values that coordinates ``start`` to ``start + d`` take.
    """

    start: int
    values: Tensor


class Expert(nn.Module):
    """A frozen pretrained network that encodes inputs to, or decodes outputs from, its ports.

    Subclasses implement :meth:`from_folder` and :meth:`describe`, and :meth:`encode`, :meth:`decode` or both;
    generators also :meth:`draw`. Parameters never require gradients, the mode is always ``eval``; gradients still
    flow *through* an expert to its inputs.

    Attributes:
        config: the checkpoint's configuration, as read from its ``config.json``.
        ports: the ports with the sizes of this checkpoint.
        origin: where the weights came from, or ``None`` for an expert built in memory.
    """

    #: File whose content :meth:`describe` reads.
    config_name: ClassVar[str] = "config.json"
    #: Modality of what :meth:`encode` takes, a key of :data:`dragoman.ports.MODALITIES`; ``""`` if it does not encode.
    reads: ClassVar[str] = ""

    config: dict[str, Any]
    origin: Origin | None

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.ports = self.describe(config)
        self.origin = None

    @classmethod
    def from_pretrained(
        cls,
        address: str | Path,
        *,
        revision: str | None = None,
        subfolder: str = "",
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        **access: Unpack[AccessOptions],
    ) -> Self:
        """Load a checkpoint from a folder, a Hub id, or any installed store.

        Args:
            address: folder or ``ns/name[@revision]``.
            revision: branch, tag or commit.
            subfolder: folder inside the repository.
            dtype: floating-point type of the weights; as stored when omitted.
            device: where the expert lives; the CPU when omitted.
            **access: ``token``, ``cache_dir``, ``force_download``, ``local_files_only``, as of
                :class:`dragoman.access.Access`.

        Raises:
            PackageError: the files are missing, damaged, or of another architecture.
        """
        with using(**access):
            location = locate(address, revision)
        return cls.from_location(location, subfolder=subfolder).place(dtype, device)

    @classmethod
    def from_location(cls, location: Location, *, subfolder: str = "") -> Self:
        """Load from files that a store has already brought."""
        folder = location.folder / subfolder
        expert = cls.from_folder(folder)
        expert.origin = Origin(location.address, location.revision, folder, subfolder)
        return expert.freeze()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the checkpoint in a folder. Called by :meth:`from_pretrained`."""
        raise NotImplementedError(f"{cls.__name__} does not load checkpoints")

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint, from its configuration alone: no weights are read."""
        raise NotImplementedError(f"{cls.__name__} does not describe its ports")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint so that :meth:`from_pretrained` reads it back."""
        raise NotImplementedError(f"{type(self).__name__} does not save checkpoints")

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Inputs to the representation at a port.

        Args:
            inputs: texts (list of str) or images (float ``[B, C, H, W]`` in [0, 1]).
            port: a port with ``gives``.
            generator: source of randomness for experts whose answer is a draw, such as captioners.
        """
        raise PortError(f"{type(self).__name__} does not encode; it has no port that gives.")

    def encode_many(self, inputs: Any, ports: Sequence[str]) -> dict[str, Representation]:
        """Inputs to the representations at several ports; an expert that needs only one pass for it overrides this."""
        return {port: self.encode(inputs, port) for port in ports}

    def decode(self, representation: Representation, port: str, **knobs: Any) -> Tensor:
        """The representation at a port to outputs.

        Args:
            representation: what :meth:`encode` or :meth:`draw` gives at that port.
            port: a port with ``takes``.
            **knobs: the expert's own, such as ``truncation``.

        Returns:
            Images, float ``[B, C, H, W]`` in [0, 1].
        """
        raise PortError(f"{type(self).__name__} does not decode; it has no port that takes.")

    def remake(self, inputs: Any, port: str, *, generator: torch.Generator | None = None, **knobs: Any) -> Tensor:
        """Inputs through a port to outputs: what an autoencoder, a codec or a style network is for.

        An expert whose :meth:`encode` has knobs as well overrides this.
        """
        return self.decode(self.encode(inputs, port, generator=generator), port, **knobs)

    def knobs(self) -> tuple[Knob, ...]:
        """What this checkpoint lets one choose in :meth:`decode`, and in :meth:`encode` where that takes it too."""
        return ()

    def draw(self, port: str, n: int, *, generator: torch.Generator, **knobs: Any) -> Tensor:
        """Samples of the distribution that the expert was trained to decode at a port, row by row.

        Raises:
            PortError: the expert is no generator.
        """
        raise PortError(f"{type(self).__name__} is no generator: it has no samples of its own to draw.")

    def atoms(self, port: str) -> Atoms | None:
        """The discrete coordinates of a vector port, if it has any."""
        return None

    def port(self, name: str) -> Port:
        """The port of that name.

        Raises:
            PortError: there is none.
        """
        return choose_port(self.ports, name, type(self).__name__)

    def place(self, dtype: torch.dtype | None, device: str | torch.device | None) -> Self:
        """Move to a type and device, where given."""
        if dtype is not None or device is not None:
            self.to(device=device, dtype=dtype)
        return self

    def freeze(self) -> Self:
        """Stop gradients to the weights and leave training mode."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in ``eval`` mode, whatever the surrounding module does."""
        return super().train(False)
