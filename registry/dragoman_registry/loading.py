"""Reading a package: everything that can be told from manifests is checked before any weights are read."""

from __future__ import annotations

from typing import Any

import torch

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint
from dragoman.errors import PackageError, PortError
from dragoman.fusion import Fusion
from dragoman.plugins import Catalogue, Offer, zoo
from dragoman.ports import Port, check_fit
from dragoman.stores import Location
from dragoman.translator import Translator
from dragoman_registry.building import build_translator
from dragoman_registry.manifest import WEIGHTS, Manifest, read_manifest
from dragoman_registry.parts import TranslatorPart
from dragoman_registry.references import Reference
from dragoman_registry.requirements import check_requirements
from dragoman_registry.tensors import load_tensors
from dragoman_registry.verify import verify_files

__all__ = ["load_fusion"]


def load_fusion(location: Location, *, device: str | torch.device | None = None) -> Fusion:
    """Read a fusion.

    In this order: the manifest, the plugins that it needs, the ports, the package's files, the experts' digests and
    ports, the translator, the experts.

    Raises:
        PackageError: the package or an expert is missing, damaged, or not the one that it was made with.
        PluginError: a plugin is missing, too old or broken.
        PortError: an expert no longer has the port that the translator was trained on.
    """
    manifest = read_manifest(location.folder)
    if manifest.kind != "fusion" or manifest.translator is None:
        raise PackageError(f"{location.address} is a package of kind {manifest.kind!r}; only a fusion loads this way.")
    check_requirements(manifest.requires, location.address)
    references = {role: _reference(role, manifest) for role in manifest.components}
    for role in ("source", "target"):
        _check_port(role, references[role], manifest)
    verify_files(location.folder, manifest)
    places = {role: _place(role, reference, manifest, location) for role, reference in references.items()}
    translator = _translator(manifest.translator, location).to(device)
    loaded = {role: reference.load(places[role], device) for role, reference in references.items()}
    return _join(manifest, translator, loaded)


def _reference(role: str, manifest: Manifest) -> Reference:
    part = manifest.components[role]
    offer = _catalogue(role).find(f"{part.plugin}/{part.name}")
    return Reference(part, offer.card, offer.card.load())


def _place(role: str, reference: Reference, manifest: Manifest, package: Location) -> Location | None:
    if not reference.component.repo:
        return None
    place = reference.locate(package)
    config = reference.config_at(place)
    if config is not None and role in manifest.ports:
        _check_port(role, reference, manifest, config)
    return place


def _check_port(role: str, reference: Reference, manifest: Manifest, config: dict[str, Any] | None = None) -> None:
    port = reference.check_port(manifest.ports[role].name, config)
    if port is not None:
        _check_fit(role, port, manifest)


def _check_fit(role: str, port: Port, manifest: Manifest) -> None:
    """The expert's port now against the port that the translator was trained on."""
    assert manifest.translator is not None
    expert, trained, translator = manifest.components[role].name, manifest.ports[role], manifest.translator.name
    if role == "source":
        check_fit(port, expert, trained, translator)
    else:
        check_fit(trained, translator, port, expert)
    if not (port.gives if role == "source" else port.takes):
        raise PortError(f"Port {port.name!r} of {expert!r} does not {'give' if role == 'source' else 'take'} any more.")


def _translator(part: TranslatorPart, location: Location) -> Translator:
    offer = zoo().translators.find(f"{part.plugin}/{part.name}")
    return build_translator(offer.card.load(), part.name, part.config, load_tensors(location.folder / WEIGHTS))


def _join(manifest: Manifest, translator: Translator, loaded: dict[str, Any]) -> Fusion:
    assert manifest.translator is not None
    endpoints = {role: _endpoint(role, manifest, loaded[role]) for role in ("source", "target")}
    ranker: Critic | None = loaded.get("ranker")
    part = manifest.translator
    names = {"translator": _usable(zoo().translators, zoo().translators.find(f"{part.plugin}/{part.name}"))}
    if ranker is not None:
        names["ranker"] = _usable_component("ranker", manifest)
    facts = {"recipe": dict(manifest.recipe), **manifest.facts}
    fusion = Fusion(endpoints["source"], translator, endpoints["target"], ranker=ranker, names=names, facts=facts)
    own = {knob.name: knob.default for knob in fusion.knobs()}
    kept = {knob.name: knob.default for knob in manifest.knobs if knob.name in own}
    return fusion.prefer(**{name: value for name, value in kept.items() if value not in (None, own[name])})


def _endpoint(role: str, manifest: Manifest, expert: Any) -> Endpoint:
    port = expert.port(manifest.ports[role].name)
    _check_fit(role, port, manifest)
    return Endpoint(_usable_component(role, manifest), expert, port)


def _usable_component(role: str, manifest: Manifest) -> str:
    part, catalogue = manifest.components[role], _catalogue(role)
    return _usable(catalogue, catalogue.find(f"{part.plugin}/{part.name}"))


def _usable(catalogue: Catalogue[Any], offer: Offer[Any]) -> str:
    """The name by which a part is found here: qualified where two plugins offer it."""
    return offer.card.name if offer.card.name in list(catalogue) else offer.qualified_name


def _catalogue(role: str) -> Catalogue[Any]:
    return zoo().critics if role == "ranker" else zoo().experts
