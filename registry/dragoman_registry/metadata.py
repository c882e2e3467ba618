"""The front matter of a card: what the Hub knows of a package, and what a search finds it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dragoman_registry.licences import licence_of_all
from dragoman_registry.manifest import Manifest
from dragoman_registry.patterns import is_hub_id

__all__ = ["SETTINGS", "flat_figures", "metadata_of", "tags_of"]

#: Keys among figures that say how the figures beside them were measured.
SETTINGS = ("seed", "seeds", "features", "samples")
_TASK = "text-to-image"  # it reads prompts and renders images, whatever is in between


def metadata_of(manifest: Manifest, title: str) -> dict[str, Any]:
    """Keys and values of the front matter.

    Args:
        manifest: of the package.
        title: name of the model among its figures.
    """
    data: dict[str, Any] = {"library_name": "dragoman", "tags": tags_of(manifest)}
    if manifest.kind == "fusion":
        data["pipeline_tag"] = _TASK
    bases = [part.repo for part in manifest.components.values() if part.revision and is_hub_id(part.repo)]
    if bases:
        # A fusion of two or more experts is what the Hub calls a merge; with one it stands on that one.
        data |= {"base_model": bases, "base_model_relation": "merge" if len(bases) > 1 else "adapter"}
    data |= _licence(manifest)
    results = list(_results(manifest))
    return data | ({"model-index": [{"name": title.rpartition("/")[2], "results": results}]} if results else {})


def tags_of(manifest: Manifest) -> list[str]:
    """What a search filters by: kind, parts, and the direction between them."""
    tags = ["dragoman", f"dragoman:{manifest.kind}"]
    for prefix, role in (("from", "source"), ("to", "target")):
        if role in manifest.components:
            tags.append(f"dragoman:{prefix}:{manifest.components[role].name}")
    translator = [manifest.translator.name] if manifest.translator else []
    tags += [f"dragoman:translator:{name}" for name in translator]
    # The bare names as well, which people type into the Hub's own search.
    return [*tags, *dict.fromkeys([*translator, *(part.name for part in manifest.components.values())])]


def flat_figures(manifest: Manifest) -> Iterator[tuple[tuple[str, ...], Any, Mapping[str, Any]]]:
    """Every figure among the facts: its path of names, its value, and how it was measured as far as that is said."""
    figures = manifest.facts.get("figures")
    if isinstance(figures, Mapping):
        yield from _flat(figures, (), {})


def _flat(
    figures: Mapping[str, Any], path: tuple[str, ...], outer: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], Any, Mapping[str, Any]]]:
    settings = {**outer, **{key: figures[key] for key in SETTINGS if key in figures}}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, name), settings)
        elif name not in SETTINGS:
            yield (*path, name), value, settings


def _results(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for path, value, settings in flat_figures(manifest):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            data = ", ".join(path[:-1]) or "generated pairs"
            metric = {"type": path[-1], "name": ", ".join(path), "value": value}
            yield {
                "task": {"type": _TASK},
                "dataset": {"type": data.replace(" ", "-"), "name": data},
                "metrics": [metric | ({"args": dict(settings)} if settings else {})],
            }


def _licence(manifest: Manifest) -> dict[str, str]:
    parts = [part.licence for part in manifest.components.values() if part.repo]
    if not parts:
        return {}
    licence = licence_of_all(parts)
    if licence in ("", "other"):
        return {"license": "other", "license_name": "see-parts", "license_link": "README.md"}
    return {"license": licence}
