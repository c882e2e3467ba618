"""Models that make pictures: fusions from texts, and single experts from pictures or from nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.errors import InputError, UnknownNameError
from dragoman.expert import Expert
from dragoman.fusion import Fusion
from dragoman.knobs import Knob, check_knobs
from dragoman.ports import Port

__all__ = ["ExpertMaker", "open_maker"]


class ExpertMaker:
    """An expert as a model that makes pictures.

    One that reads pictures and has a port that gives and takes makes them anew (an autoencoder, a codec, a style
    network); a generator draws.

    Args:
        expert: the expert.
        name: what the user called it, for messages.
        port: through which port; the first that fits when empty.

    Raises:
        InputError: the expert makes no pictures.
    """

    def __init__(self, expert: Expert, name: str, port: str = "") -> None:
        self.expert, self.name = expert, name
        able = [each for each in expert.ports.values() if each.takes and port in ("", each.name)]
        if not able:
            raise InputError(f"{name} has no port that takes a representation, so it makes no pictures.")
        self.port: Port = able[0]

    def knobs(self) -> tuple[Knob, ...]:
        """The expert's."""
        return self.expert.knobs()

    def sample(
        self,
        prompts: Sequence[str],
        n: int = 1,
        *,
        generator: torch.Generator | None = None,
        temperature: float | None = None,
        truncation: float | None = None,
        candidates: int | None = None,
        knobs: Mapping[str, Any] | None = None,
    ) -> list[Tensor]:
        """Pictures, float ``[C, H, W]`` in [0, 1] each.

        Args:
            prompts: paths of pictures for an expert that reads them; none for a generator.
            n: draws of a generator.
            generator: source of randomness; a fresh one seeded with 0 when omitted.
            temperature: 1; only a fusion's translator has another.
            truncation: as of the expert.
            candidates: 1; only a fusion's critic chooses among several.
            knobs: values of :meth:`knobs`.

        Raises:
            InputError: a picture cannot be read, the expert reads none, or is asked for what only fusions have.
        """
        for option, value in (("temperature", temperature), ("candidates", candidates)):
            if value not in (None, 1):
                raise InputError(f"{self.name} is an expert, which has no {option}; leave it at 1, or name a fusion.")
        chosen = check_knobs(knobs or {}, self.knobs(), self.name)
        if truncation not in (None, 1):
            chosen["truncation"] = truncation
        generator = generator if generator is not None else torch.Generator().manual_seed(0)
        if not prompts:
            drawn = self.expert.draw(self.port.name, n, generator=generator)
            options = {"generator": generator} if self.port.modality == "label" else {}
            return list(self.expert.decode(drawn, self.port.name, **options, **chosen))
        if self.expert.reads != "image" or not self.port.gives:
            raise InputError(f"{self.name} makes pictures from nothing but its own noise; give no prompt.")
        return [self._remade(Path(prompt), chosen) for prompt in prompts]

    @torch.no_grad()
    def _remade(self, path: Path, chosen: Mapping[str, Any]) -> Tensor:
        weight = next(self.expert.parameters())
        picture = _read(path).to(weight)
        return self.expert.remake(picture[None], self.port.name, **chosen)[0]


def open_maker(model: str, device: torch.device) -> Fusion | ExpertMaker:
    """What a user calls MODEL: a fusion by its address, or an expert as ``NAME[=ADDRESS][:PORT]``.

    Raises:
        DragomanError: there is no such model, or it cannot be loaded.
    """
    from dragoman.fusion import load

    spec = _expert_of(model)
    if spec is None:
        return load(model, device=device)
    return ExpertMaker(load_expert(spec.expert, spec.address, device=device), spec.expert, spec.port)


def _expert_of(model: str) -> EndpointSpec | None:
    """What the text says of an expert, if it names one; a folder of that name is a folder."""
    if Path(model).expanduser().exists():
        return None
    try:
        spec = EndpointSpec.parse(model)
        spec.card  # noqa: B018
    except (InputError, UnknownNameError):
        return None
    return spec


def _read(path: Path) -> Tensor:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; this model reads pictures.") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture: {' '.join(str(error).split())}.") from error
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255
