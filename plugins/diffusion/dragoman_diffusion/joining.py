"""Cascades out of stages that were trained and published apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError
from dragoman.fusion import Fusion, load
from dragoman_diffusion.cascade import Cascade, stages_of
from dragoman_diffusion.diffusion import Diffusion
from dragoman_diffusion.pixels import PREFIX, Pixels

__all__ = ["join"]

#: What stands behind an address that means one stage of its package.
_PLACE = re.compile(r"(?P<address>.+):(?P<place>[0-9]+)")


def join(addresses: Sequence[str], *, device: str | None = None) -> Fusion:
    """A fusion of the stages of packages, smallest images first.

    Args:
        addresses: folders or Hub ids of fusions whose translators are diffusions or cascades: all stages of each, or
            with ``:K`` behind the address its stage ``K`` alone, counted from 0.
        device: where the fusion lives.

    Returns:
        A ``diffusion-cascade``, or for a single stage a ``diffusion``, which can be published apart. Its ranker is that
        of the last package with one; its facts hold the recipe and the training of each part.

    Raises:
        InputError: a stage does not exist, stages do not fit each other, or they read other conditions.
        PackageError: there is no such package.
    """
    if not addresses:
        raise InputError("A cascade needs at least one stage; give addresses.")
    parts = [_split(address) for address in addresses]
    loaded = {address: load(address, device=device) for address in dict.fromkeys(address for address, _ in parts)}
    for before, after in pairwise(loaded):
        _check_condition(before, loaded[before].source, after, loaded[after].source)
    stages = [stage for address, place in parts for stage in _chosen(address, loaded[address], place)]
    first, last = loaded[parts[0][0]], loaded[parts[-1][0]]
    name, translator = ("diffusion", stages[0]) if len(stages) == 1 else ("diffusion-cascade", Cascade.of(stages))
    facts = {"joined": [_part(address, place, loaded[address]) for address, place in parts]}
    facts |= {key: last.facts[key] for key in ("prompts",) if key in last.facts}
    ranked = next((fusion for fusion in reversed(loaded.values()) if fusion.ranker is not None), last)
    names = {**ranked.names, "translator": name}
    target = _target(last, stages[-1])
    return Fusion(first.source, translator.eval(), target, ranker=ranked.ranker, names=names, facts=facts)


def _part(address: str, place: int | None, fusion: Fusion) -> dict[str, Any]:
    """Where stages come from, for the card; of a folder only its name, which is nobody's business beyond that."""
    package = Path(address).name if Path(address).is_dir() else address
    known: dict[str, Any] = {key: fusion.facts[key] for key in ("recipe", "training", "joined") if key in fusion.facts}
    return {"package": package} | ({} if place is None else {"stage": place}) | known


def _split(address: str) -> tuple[str, int | None]:
    found = _PLACE.fullmatch(address)
    return (found["address"], int(found["place"])) if found else (address, None)


def _chosen(address: str, fusion: Fusion, place: int | None) -> Sequence[Diffusion]:
    stages = stages_of(fusion, address)
    if place is None:
        return stages
    if place >= len(stages):
        raise InputError(f"{address} has {len(stages)} stages, counted from 0; there is no stage {place}.")
    return [stages[place]]


def _check_condition(address: str, source: Endpoint, other: str, others: Endpoint) -> None:
    one, two = (_described(end) for end in (source, others))
    if one != two:
        raise InputError(f"All stages of a cascade read one condition, but {address} reads {one} and {other} {two}.")


def _described(end: Endpoint) -> str:
    origin = end.expert.origin
    return str(EndpointSpec(end.name, origin.address if origin else "", end.port.name))


def _target(fusion: Fusion, stage: Diffusion) -> Endpoint:
    """The last stage's target; a stage from within a package makes smaller images than its package."""
    shape = tuple(stage.config["image"])
    if tuple(fusion.target.port.shape) == shape:
        return fusion.target
    if not isinstance(fusion.target.expert, Pixels):
        raise InputError(f"{fusion.target.name} takes images {list(fusion.target.port.shape)}, not {list(shape)}.")
    size = EndpointSpec(fusion.target.name, PREFIX + "x".join(map(str, shape)))
    return Endpoint.load(size, giving=False, device=stage.text.start.device)
