"""The experts: images to feature maps, pooled features and class logits of a timm network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dragoman.access import AccessOptions
from dragoman.errors import PackageError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman.weights import check_finite, failures_named, load_tensors, read_json
from dragoman_timm.architecture import build_network, channels_first, outputs_of, pretrained_cfg_of
from dragoman_timm.library import timm
from dragoman_timm.preprocessing import Preprocessing

__all__ = ["Swin", "Timm", "Vgg"]

STAGE = "stage."


class Timm(Expert):
    """An image backbone of timm.

    Ports, all float32 whatever the type of the weights:

    - ``pooled``: what the classifier reads;
    - ``features``: the last feature map, where the network's last features are a map;
    - ``stage.K``: the feature map after stage ``K``, as timm numbers and taps them;
    - ``logits``, ``label``: class logits and the most likely class, where the checkpoint has a classifier.

    Maps are channels first, ``[B, C, H, W]``, whatever layout the network works in. Images may have any size and one
    or three channels; they are prepared as timm evaluates the checkpoint, which crops the border of most, unless
    :meth:`uncropped` was called. Gradients flow to the images.

    A small network is trained as ``build_network(config)`` and becomes an expert by ``Timm(config, network).freeze()``.

    Args:
        config: content of the checkpoint's ``config.json``, as timm writes it.
        network: the network that it describes.

    Attributes:
        network: the network.
        preprocessing: what happens to images first.
    """

    reads: ClassVar[str] = "image"
    #: First letters of the architectures that this class loads.
    architectures: ClassVar[str] = ""

    def __init__(self, config: Mapping[str, Any], network: nn.Module) -> None:
        super().__init__(config)
        self.network = network
        self.preprocessing = Preprocessing.from_config(pretrained_cfg_of(config))

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
        """Load a checkpoint; beside folders and Hub ids, the address may be ``ARCHITECTURE[.TAG]`` of timm.

        ``resnet50.a1_in1k`` and ``timm:resnet50.a1_in1k`` mean the repository ``timm/resnet50.a1_in1k``; without a tag
        it is timm's own default for the architecture. See :meth:`dragoman.Expert.from_pretrained` for the rest.

        Raises:
            PackageError: the files are missing, damaged, or of another architecture.
        """
        address = _repository(str(address))
        return super().from_pretrained(
            address, revision=revision, subfolder=subfolder, dtype=dtype, device=device, **access
        )

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint in the layout of timm's repositories; see :meth:`from_pretrained`.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config = read_json(folder / cls.config_name, "checkpoint of timm")
        cls._check_family(config)
        weights = load_tensors(folder)
        check_finite(folder, weights)
        if not weights:
            raise PackageError(f"The weights in {folder} are empty.")
        with failures_named("weights", folder):
            return cls(config, build_network(config, weights))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint, for images of its own size.

        Raises:
            PackageError: the architecture is another one, or not known to timm.
        """
        cls._check_family(config)
        try:
            outputs = outputs_of(config)
        except PackageError:
            raise
        except Exception as error:  # whatever arguments another architecture minds
            reason = " ".join(str(error).split())[:200]
            raise PackageError(f"The checkpoint's config.json describes no network of timm: {reason}.") from error

        def port(name: str, modality: str, shape: tuple[int, ...], summary: str) -> Port:
            return Port(name, modality, shape, normalisation="not normalised", gives=True, summary=summary)

        ports = [port("pooled", "vector", (outputs.pooled,), "what the classifier reads")]
        if outputs.features:
            ports.append(port("features", "map", outputs.features, "last feature map"))
        ports += [port(f"{STAGE}{k}", "map", shape, f"after stage {k}") for k, shape in enumerate(outputs.stages)]
        if outputs.classes:
            ports.append(port("logits", "vector", (outputs.classes,), "class logits"))
            ports.append(Port("label", "label", (), dtype="int64", gives=True, summary="most likely class"))
        return {port.name: port for port in ports}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``; :meth:`from_pretrained` and timm read them back."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        (target / self.config_name).write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")
        tensors = {name: value.detach().cpu().clone().contiguous() for name, value in self.network.state_dict().items()}
        save_file(tensors, target / "model.safetensors", {"format": "pt"})

    def uncropped(self) -> Self:
        """See whole images from now on, scaled to the network's square: for critics, to which the border matters."""
        self.preprocessing = self.preprocessing.uncropped()
        return self

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Images to the representation at a port.

        Args:
            inputs: float ``[B, 1 or 3, H, W]`` in [0, 1].
            port: name of a port.
            generator: not used; a backbone's answer is no draw.

        Returns:
            Float32 ``[B, D]`` or ``[B, C, h, w]``; int64 ``[B]`` for ``label``.

        Raises:
            PortError: there is no such port.
            InputError: the inputs are no images.
        """
        return self.encode_many(inputs, [port])[port]

    def encode_many(self, inputs: Any, ports: Sequence[str]) -> dict[str, Representation]:
        """Images to the representations at several ports, in one pass through the network."""
        for port in ports:
            self.port(port)
        pixels = self.preprocessing(inputs)
        weight = next(self.network.parameters())
        stages = sorted({int(port.removeprefix(STAGE)) for port in ports if port.startswith(STAGE)})
        final, maps = self._run(pixels.to(weight), stages, all(port.startswith(STAGE) for port in ports))
        found = {f"{STAGE}{stage}": each for stage, each in zip(stages, maps, strict=True)}
        return {port: _uniform(found[port] if port in found else self._head(final, port)) for port in ports}

    def _run(self, pixels: Tensor, stages: list[int], only_stages: bool) -> tuple[Tensor, list[Tensor]]:
        network: Any = self.network
        if not stages:
            return network.forward_features(pixels), []
        if only_stages:
            options = {"indices": stages, "output_fmt": "NCHW", "stop_early": True, "intermediates_only": True}
            return pixels, network.forward_intermediates(pixels, **options)
        final, maps = network.forward_intermediates(pixels, indices=stages, output_fmt="NCHW")
        return final, maps

    def _head(self, final: Tensor, port: str) -> Tensor:
        network: Any = self.network
        if port == "features":
            return channels_first(network, final)
        value: Tensor = network.forward_head(final, pre_logits=port == "pooled")
        return value.argmax(dim=1) if port == "label" else value

    @classmethod
    def _check_family(cls, config: Mapping[str, Any]) -> None:
        name = config.get("architecture")
        if not str(name).startswith(cls.architectures):
            raise PackageError(
                f"The checkpoint is of architecture {name!r}, not {cls.architectures!r}; use timm=ADDRESS."
            )


class Vgg(Timm):
    """VGG (Simonyan and Zisserman 2015, arXiv:1409.1556), with or without batch normalisation.

    ``stage.K`` ends with the activation before pooling ``K``, so that stages 0 to 4 are ``relu1_2``, ``relu2_2``,
    ``relu3_3``, ``relu4_3`` and ``relu5_3`` of VGG-16; the last stage is the last pooling.
    """

    architectures: ClassVar[str] = "vgg"


class Swin(Timm):
    """Swin transformers (Liu et al. 2021, arXiv:2103.14030)."""

    architectures: ClassVar[str] = "swin_"


def _uniform(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _repository(address: str) -> str:
    """The Hub id behind ``[timm:]ARCHITECTURE[.TAG]``; any other address as it is."""
    name = address.removeprefix("timm:")
    architecture, _, tag = name.partition(".")
    if not re.fullmatch(r"\w+(\.[\w-]+)?", name) or Path(address).is_dir() or not timm.is_model(architecture):
        if name != address:
            raise PackageError(
                f"timm has no architecture {architecture!r}; write timm:ARCHITECTURE or timm:ARCHITECTURE.TAG."
            )
        return address
    tag = tag or timm.get_pretrained_cfg(architecture).tag
    return f"timm/{architecture}.{tag}" if tag else f"timm/{architecture}"
