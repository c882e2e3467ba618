"""Ranking a bank: which expert tells the generator's images from real ones best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.progress import progress
from dragoman.training.seeding import generator_for
from dragoman_vision_aided.bank import Member
from dragoman_vision_aided.features import FeatureCache
from dragoman_vision_aided.probe import Probe, probe

__all__ = ["Ranked", "draw_images", "rank", "rows_of"]

_BATCH = 64


@dataclass(frozen=True)
class Ranked:
    """One line of a ranking.

    Attributes:
        name: of the member.
        probe: its accuracy.
    """

    name: str
    probe: Probe

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"name": self.name, **self.probe._asdict()}


def rank(
    bank: Sequence[Member],
    real: Tensor,
    fake: Tensor,
    *,
    seed: int = 0,
    repeats: int = 3,
    cache: FeatureCache | None = None,
) -> list[Ranked]:
    """The bank by validation accuracy of a linear probe, the best judge first.

    Args:
        bank: the experts.
        real: images ``[N, C, H, W]``, bytes or floats in [0, 1].
        fake: the generator's.
        seed: of the splits; each member gets the same ones.
        repeats: repetitions of each probe.
        cache: where features are kept.

    Raises:
        InputError: the bank is empty, or there are too few images.
    """
    if not bank:
        raise InputError("There is no expert left in the bank to rank.")
    found = []
    with progress("probing", len(bank)) as shown:
        for done, member in enumerate(bank, start=1):
            features = [member.features(images, cache) for images in (real, fake)]
            found.append(Ranked(member.name, probe(*features, generator=generator_for(seed, "probe"), repeats=repeats)))
            shown.update(done, member.name)
    return sorted(found, key=lambda ranked: -ranked.probe.mean)


def rows_of(ranking: Iterable[Ranked]) -> list[tuple[str, str, str, str]]:
    """Cells of a table: place, name, accuracy, spread."""
    return [
        (str(place), ranked.name, f"{ranked.probe.mean:.4f}", f"{ranked.probe.std:.4f}")
        for place, ranked in enumerate(ranking, start=1)
    ]


@torch.no_grad()
def draw_images(expert: Any, count: int, seed: int) -> Tensor:
    """Samples of a generator as bytes ``[count, C, H, W]`` on the CPU.

    Bytes, as real images are stored: otherwise a probe could tell both apart by what a file cannot hold.

    Args:
        expert: any expert that draws and decodes.
        count: how many.
        seed: of the draws.

    Raises:
        InputError: the expert has no port that it draws and decodes.
    """
    ports = [port.name for port in expert.ports.values() if port.takes]
    if not ports:
        raise InputError(f"{type(expert).__name__} is no generator; it takes nothing that it could render.")
    generator, parts = generator_for(seed, "draw"), []
    for start in range(0, count, _BATCH):
        latents = expert.draw(ports[0], min(_BATCH, count - start), generator=generator)
        parts.append((expert.decode(latents, ports[0]).clamp(0, 1) * 255).round().byte().cpu())
    return torch.cat(parts)
