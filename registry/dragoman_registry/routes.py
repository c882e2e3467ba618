"""Routes: chains of trained translators that lead from one expert to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dragoman.errors import InputError, PluginError, PortError
from dragoman.plugins import zoo
from dragoman.ports import MODALITIES, Port, check_fit
from dragoman_registry.installed import Package
from dragoman_registry.parts import Component

if TYPE_CHECKING:
    import torch

    from dragoman.fusion import Fusion

__all__ = ["Route", "compose", "find_routes"]

_LONGEST = 6


@dataclass(frozen=True)
class Route:
    """Fusions, the translators of which are used one after the other.

    Attributes:
        packages: first to last; each begins at the port at which the one before it ends.
    """

    packages: tuple[Package, ...]

    def __str__(self) -> str:
        steps = [_place("source", self.packages[0])]
        for package in self.packages:
            assert package.manifest.translator is not None
            steps += [f"{package.manifest.translator.name} ({package.address})", _place("target", package)]
        return " -> ".join(steps)


def find_routes(start: str, end: str, packages: Sequence[Package]) -> list[Route]:
    """All routes without detours, the shortest first.

    Two translators follow each other if the first ends at the port of the same checkpoint at which the second begins,
    and the ports fit. The expert in between is not run: it lent its space.

    Args:
        start: ``EXPERT[:PORT]`` that gives, or the modality that it reads (``"text"``).
        end: ``EXPERT[:PORT]`` that takes. A name stands for all checkpoints of its network: ``biggan`` finds
            ``biggan-fashion``.
        packages: fusions to choose from.

    Raises:
        InputError: a name is not that of an installed expert.
    """
    if start not in MODALITIES:
        _check_expert(start)
    _check_expert(end)
    found: list[Route] = []
    trails: list[tuple[Package, ...]] = [(package,) for package in packages if _begins(package, start)]
    while trails and len(trails[0]) <= _LONGEST:
        found += [Route(trail) for trail in trails if _matches(end, "target", trail[-1])]
        trails = [(*trail, after) for trail in trails for after in packages if _continues(trail, after)]
    return found


def compose(route: Route, *, device: str | torch.device | None = None) -> Fusion:
    """Load a route as one fusion: the first's encoder, all translators, the last's renderer.

    The ranker of the last is left out: it was made for another condition.

    Raises:
        PackageError: a package is damaged.
        PortError: two of them do not fit, now that their experts are loaded.
    """
    from dragoman.fusion import Fusion, load
    from dragoman_registry.chain import Chain

    fusions = [load(package.address, device=device) for package in route.packages]
    if len(fusions) == 1:
        return fusions[0]
    for before, after in pairwise(fusions):
        check_fit(before.target.port, before.target.name, after.source.port, after.source.name)
    chain = Chain.of([fusion.translator for fusion in fusions], [fusion.names["translator"] for fusion in fusions])
    facts = {"chain": [package.address for package in route.packages]}
    if "prompts" in fusions[0].facts:
        facts["prompts"] = fusions[0].facts["prompts"]
    return Fusion(fusions[0].source, chain, fusions[-1].target, names={"translator": "chain"}, facts=facts)


def _begins(package: Package, start: str) -> bool:
    if start in MODALITIES:
        return start == _reads(package.manifest.components["source"])
    return _matches(start, "source", package)


def _matches(name: str, role: str, package: Package) -> bool:
    # No endpoint: what follows the colon is a port even if the card does not know it, and never a checkpoint.
    expert, _, wanted = name.partition(":")
    part, port = package.manifest.components[role], package.manifest.ports[role]
    if wanted not in ("", port.name):
        return False
    return expert in (part.name, f"{part.plugin}/{part.name}") or _network(expert) == _network(part.name)


def _continues(trail: tuple[Package, ...], after: Package) -> bool:
    if after in trail:
        return False
    before = trail[-1].manifest
    one, other = before.components["target"], after.manifest.components["source"]
    same = (one.plugin, one.name, one.digest) == (other.plugin, other.name, other.digest)
    return same and _same_space(before.ports["target"], after.manifest.ports["source"])


def _same_space(one: Port, other: Port) -> bool:
    """Ports of one checkpoint: the same name means the same space, provided that they fit."""
    try:
        check_fit(one, "", other, "")
    except PortError:
        return False
    return (one.name, one.normalisation) == (other.name, other.normalisation)


def _check_expert(name: str) -> None:
    try:
        zoo().experts.find(name.partition(":")[0])
    except PluginError as error:
        raise InputError(f"{error} A route begins at an expert, or at what it reads, and ends at an expert.") from error


def _network(name: str) -> object:
    """What tells two networks apart: the class behind the card; a name that is not installed is only itself."""
    try:
        return zoo().experts.find(name).card.target
    except PluginError:
        return name


def _reads(part: Component) -> str:
    """The modality that an expert reads; this imports its class, so it is asked for modalities only."""
    try:
        return str(getattr(zoo().experts.find(f"{part.plugin}/{part.name}").card.load(), "reads", ""))
    except PluginError:
        return ""


def _place(role: str, package: Package) -> str:
    return f"{package.manifest.components[role].name}:{package.manifest.ports[role].name}"
