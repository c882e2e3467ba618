"""What is evaluated: a generator or a fusion, loaded once and drawn from as often as needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.fusion import Fusion, load
from dragoman.knobs import Knob
from dragoman.plugins import zoo
from dragoman.progress import progress
from dragoman.training.seeding import generator_for

__all__ = ["Drawn", "Subject", "load_subject"]

_TRUNCATION = Knob("truncation", 1.0, 0, 1, summary="variety of the generator against typicality")


class Drawn(NamedTuple):
    """Images and what they were made for.

    Attributes:
        images: float ``[N, C, H, W]`` in [0, 1].
        prompts: the prompt of each image; none for a generator.
    """

    images: Tensor
    prompts: list[str]


class Subject:
    """What gives images.

    Args:
        name: how the user called it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def knobs(self) -> tuple[Knob, ...]:
        """What :meth:`draw` lets one choose."""
        raise NotImplementedError

    def draw(self, count: int, seed: int, batch_size: int, knobs: Mapping[str, Any]) -> Drawn:
        """Images with a seed, on the CPU.

        Args:
            count: how many.
            seed: of all that is drawn.
            batch_size: images that are made at once.
            knobs: values of :meth:`knobs`.
        """
        raise NotImplementedError


def load_subject(model: str, prompts: Sequence[str], device: str | torch.device | None) -> Subject:
    """A generator, ``NAME[=ADDRESS][:PORT]``, or a fusion at an address.

    Raises:
        InputError: it is no generator, or a fusion without prompts.
        PackageError: there is no such fusion.
    """
    spec = EndpointSpec.parse(model) if not Path(model).is_dir() else None
    if spec is not None and spec.expert in zoo().experts:
        return _Generator(model, load_expert(spec.expert, spec.address, device=device), spec)
    return _Fused(model, load(model, device=device), prompts)


class _Generator(Subject):
    def __init__(self, name: str, expert: Expert, spec: EndpointSpec) -> None:
        super().__init__(name)
        self.expert = expert
        ports = [port.name for port in expert.ports.values() if port.takes]
        if not ports or (spec.port and spec.port not in ports):
            raise InputError(f"{spec} is no generator; it renders {', '.join(ports) or 'nothing'}.")
        self.port = spec.port or ports[0]

    def knobs(self) -> tuple[Knob, ...]:
        return (_TRUNCATION, *(knob for knob in self.expert.knobs() if knob.name != _TRUNCATION.name))

    @torch.no_grad()
    def draw(self, count: int, seed: int, batch_size: int, knobs: Mapping[str, Any]) -> Drawn:
        expert, port, generator, parts = self.expert, self.port, generator_for(seed, "draw"), []
        with progress("generating", count) as shown:
            for start in range(0, count, batch_size):
                latents = expert.draw(port, min(batch_size, count - start), generator=generator)
                more = {"generator": generator} if expert.port(port).modality == "label" else {}
                parts.append(expert.decode(latents, port, **knobs, **more).cpu())
                shown.update(start + len(latents))
        return Drawn(torch.cat(parts), [])


class _Fused(Subject):
    def __init__(self, name: str, fusion: Fusion, prompts: Sequence[str]) -> None:
        super().__init__(name)
        self.fusion = fusion
        self.prompts = list(prompts) or self._own_prompts()

    def knobs(self) -> tuple[Knob, ...]:
        return self.fusion.knobs()

    def draw(self, count: int, seed: int, batch_size: int, knobs: Mapping[str, Any]) -> Drawn:
        each = -(-count // len(self.prompts))
        # All prompts alike often, and the rest from the front.
        generator = generator_for(seed, "draw")
        made = self.fusion.sample(self.prompts, each, generator=generator, batch_size=batch_size, knobs=knobs)
        rows = torch.arange(len(made)).view(len(self.prompts), each).T.flatten()[:count]
        asked = [self.prompts[row // each] for row in rows.tolist()]
        return Drawn(made[rows.to(made.device)].cpu(), asked)

    def _own_prompts(self) -> list[str]:
        prompts = self.fusion.facts.get("prompts")
        if not isinstance(prompts, list | tuple) or not prompts:
            raise InputError(f"{self.name} names no prompts of its own; give a file with --prompts, one text a line.")
        return [str(prompt) for prompt in prompts]
