"""A cascade: a base that makes small images, and stages that enlarge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.expert import Atoms
from dragoman.fusion import Fusion, load
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman.representation import Representation, length, randn_rows
from dragoman.translator import Translator
from dragoman_diffusion.diffusion import Diffusion
from dragoman_diffusion.lowres import shrink

__all__ = ["Cascade", "stages_of"]


class Cascade(Translator):
    """Diffusion at low resolution, then super-resolution stages (Saharia et al. 2022, arXiv:2205.11487, section 2.4).

    All stages see the same condition. One of them is trained at a time: a package of a cascade is always whole, and
    another stage is added to it, or exchanged in it, by training with ``base=`` its address. The weights of the other
    stages stay bit for bit what they were. :func:`dragoman_diffusion.joining.join` takes packages apart and joins them.

    Args:
        stages: the configuration of each :class:`~dragoman_diffusion.diffusion.Diffusion`, smallest images first.
        trained: position of the stage that :meth:`losses` trains.

    Raises:
        InputError: there is no stage, or the sizes of two that follow each other do not fit.
    """

    def __init__(self, *, stages: Sequence[Mapping[str, Any]], trained: int = -1) -> None:
        _check_stages(stages)
        position = range(len(stages))[trained] if -len(stages) <= trained < len(stages) else None
        if position is None:
            raise InputError(f"This cascade has {len(stages)} stages; there is no stage {trained}.")
        super().__init__({"stages": [dict(stage) for stage in stages], "trained": position})
        self.stages = nn.ModuleList(Diffusion(**stage) for stage in stages)

    @classmethod
    def build(cls, source: Port, target: Port, *, base: str = "", stage: int | None = None, **options: Any) -> Self:
        """A cascade with one fresh stage.

        Args:
            source: gives tokens or a vector.
            target: takes images of fixed size.
            base: address of a fusion whose translator is a diffusion or a cascade. Its images are enlarged to the
                target's size by a fresh stage; without it the fresh stage is the base.
            stage: put the fresh stage in the place of this one of ``base``, counted from 0, instead of behind the last.
            **options: of :class:`~dragoman_diffusion.diffusion.Diffusion`.

        Raises:
            PortError: the ports are of other kinds, or leave their sizes open.
            InputError: an option is unknown or out of range, or the stages do not fit.
            PackageError: there is no such fusion.
        """
        if not base:
            return cls.of([Diffusion.build(source, target, **options)])
        earlier = stages_of(load(base), base)
        place = len(earlier) if stage is None else stage
        if not 0 <= place <= len(earlier):
            raise InputError(f"{base} has {len(earlier)} stages; there is no place {place} for another one.")
        low = earlier[place - 1].config["image"][1:] if place else None
        # A stage that is exchanged makes images of the size that the next stage wants.
        port = target if place >= len(earlier) - 1 else _port_of(target, earlier[place])
        fresh = Diffusion.build(source, port, **({"low": low} if low else {}), **options)
        return cls.of([*earlier[:place], fresh, *earlier[place + 1 :]], trained=place)

    @classmethod
    def of(cls, stages: Sequence[Diffusion], trained: int = -1) -> Self:
        """A cascade of stages that exist, whose weights it shares.

        Raises:
            InputError: they do not fit.
        """
        with torch.device("meta"):  # what is built here is replaced at once
            cascade = cls(stages=[stage.config for stage in stages], trained=trained)
        cascade.stages = nn.ModuleList(stages)
        return cascade

    def initialize(self, target: Tensor, condition: Representation, atoms: Atoms | None = None) -> None:
        """Measure statistics for the stage that is trained."""
        self._trained.initialize(self._at_its_size(target), condition, atoms)

    def losses(
        self, target: Tensor, condition: Representation, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The losses of the stage that is trained; the other stages get no gradient.

        Args:
            target: images ``[B, C, H, W]`` in [0, 1] at the cascade's size; a smaller stage sees them shrunk.
            condition: their conditions.
            generator: the source of randomness.
        """
        return self._trained.losses(self._at_its_size(target), condition, generator=generator)

    def knobs(self) -> tuple[Knob, ...]:
        """Those of the stages; a list says one value for each stage."""
        return tuple(self._staged(knob) for knob in self.parts[-1].knobs())

    def _staged(self, knob: Knob) -> Knob:
        own = [each.default for stage in self.parts for each in stage.knobs() if each.name == knob.name]
        differ = len(own) == len(self.parts) and any(value != own[0] for value in own)
        return replace(knob, staged=knob.kind != "text", default=own if differ else knob.default)

    def signals(self, target: Tensor, condition: Representation) -> dict[str, float]:
        """Those of the stage that is trained."""
        return self._trained.signals(self._at_its_size(target), condition)

    def sketch(self, target: Tensor, condition: Representation) -> Tensor:
        """That of the stage that is trained."""
        return self._trained.sketch(self._at_its_size(target), condition)

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        """One image for each condition at the last stage's size, ``[B, C, H, W]`` in [0, 1].

        Args:
            condition: a batch of conditions.
            generator: source of randomness, read row by row: all stages of a row before the next row.
            temperature: of all stages.
            **knobs: of :meth:`knobs`; a list or tuple says one value for each stage.

        Raises:
            InputError: a knob is unknown or out of range, or a list has not one value per stage.
        """
        sizes = [stage.noise_size for stage in self.parts]
        noises = randn_rows(length(condition), sum(sizes), generator).split(sizes, dim=1)
        images: Tensor | None = None
        for position, (stage, noise) in enumerate(zip(self.parts, noises, strict=True)):
            chosen = {name: self._value(name, value, position) for name, value in knobs.items()}
            images = stage.sample_from(noise, condition, temperature=temperature, low=images, **chosen)
        assert images is not None
        return images

    @property
    def parts(self) -> list[Diffusion]:
        """The stages, smallest images first."""
        return [stage for stage in self.stages if isinstance(stage, Diffusion)]

    @property
    def _trained(self) -> Diffusion:
        position: int = self.config["trained"]
        return self.parts[position]

    def _at_its_size(self, target: Tensor) -> Tensor:
        full, size = self.parts[-1].config["image"], self._trained.config["image"]
        if list(target.shape[1:]) != full:
            raise InputError(f"The target must be images [B, {', '.join(map(str, full))}], not {list(target.shape)}.")
        return target if size == full else shrink(target, size[1:])

    def _value(self, name: str, value: Any, position: int) -> Any:
        # A representation is a list of texts or a named tuple; knobs per stage are neither.
        if not isinstance(value, list) and type(value) is not tuple:
            return value
        if len(value) != len(self.parts):
            raise InputError(f"{name} must be one value or {len(self.parts)}, one for each stage, not {len(value)}.")
        return value[position]


def stages_of(fusion: Fusion, address: str) -> list[Diffusion]:
    """The stages of a fusion's translator; a diffusion is one stage.

    Raises:
        InputError: the translator makes no images by diffusion; the sentence names the address.
    """
    translator = fusion.translator
    if isinstance(translator, Cascade):
        return translator.parts
    if not isinstance(translator, Diffusion):
        raise InputError(f"{address} makes no images by diffusion, so it has no stages.")
    return [translator]


def _check_stages(stages: Sequence[Mapping[str, Any]]) -> None:
    if not stages:
        raise InputError("A cascade needs at least one stage.")
    if stages[0].get("low"):
        raise InputError("The first stage of a cascade makes images from conditions alone, but this one enlarges.")
    for number, (before, after) in enumerate(pairwise(stages), start=1):
        given, taken = list(before["image"]), [after["image"][0], *(after.get("low") or ())]
        if given != taken or before["features"] != after["features"]:
            raise InputError(
                f"Stage {number - 1} makes images {given} of conditions of size {before['features']}, but stage "
                f"{number} enlarges images {taken} with conditions of size {after['features']}."
            )


def _port_of(target: Port, stage: Diffusion) -> Port:
    return replace(target, shape=tuple(stage.config["image"]))
