"""The card of a package, ``README.md``: generated from the manifest, around whatever a person wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dragoman_registry.manifest import Manifest
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id

__all__ = ["CARD", "render_card"]

#: Name of the card's file.
CARD = "README.md"
_BEGIN, _END = "<!-- dragoman: generated, begin -->", "<!-- dragoman: generated, end -->"


def render_card(manifest: Manifest, title: str, old: str = "") -> str:
    """The card: YAML front matter for the Hub, the parts, how to run it, and figures if the facts hold any.

    Args:
        manifest: of the package.
        title: heading of the card, and the address in its snippet.
        old: the card as it was; what a person wrote around the generated section, and the keys that a person added
            to the front matter, stay.
    """
    matter, body = _split(old)
    generated = _generated(manifest, title)
    before, begin, rest = body.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    body = before + generated + after if begin and end else f"{body or _heading(title)}\n{generated}\n"
    return _front_matter(manifest, matter) + body


def _split(card: str) -> tuple[dict[str, str], str]:
    """The front matter, as lines by top-level key, and the body."""
    opening, _, rest = card.partition("---\n")
    matter, closing, body = rest.partition("\n---\n")
    if opening or not closing:
        return {}, card
    blocks = re.split(r"^(?=[A-Za-z_][\w-]*:)", matter + "\n", flags=re.MULTILINE)
    return {block.partition(":")[0]: block for block in blocks if block.strip()}, body


def _front_matter(manifest: Manifest, kept: Mapping[str, str]) -> str:
    # JSON values are YAML values, and cannot break out of their line.
    ours = {key: f"{key}: {json.dumps(value)}\n" for key, value in _metadata(manifest).items()}
    return "---\n" + "".join({**kept, **ours}.values()) + "---\n"


def _heading(title: str) -> str:
    return f"\n# {_inline(title)}\n"


def _metadata(manifest: Manifest) -> dict[str, Any]:
    bases = [part.repo for part in manifest.components.values() if part.revision and is_hub_id(part.repo)]
    data: dict[str, Any] = {"library_name": "dragoman", "tags": _tags(manifest)}
    if manifest.kind == "fusion":
        data["pipeline_tag"] = "text-to-image"  # it reads prompts and renders images, whatever is in between
    if bases:
        # A fusion of two or more experts is what the Hub calls a merge; with one it stands on that one.
        data |= {"base_model": bases, "base_model_relation": "merge" if len(bases) > 1 else "adapter"}
    licences = {part.licence for part in manifest.components.values() if part.repo}
    if len(licences) == 1 and "" not in licences:
        data["license"] = licences.pop()
    elif licences:
        data |= {"license": "other", "license_name": "see-parts", "license_link": CARD}
    return data


def _tags(manifest: Manifest) -> list[str]:
    names = [part.name for part in manifest.components.values()]
    translator = [manifest.translator.name] if manifest.translator else []
    return ["dragoman", f"dragoman:{manifest.kind}", *dict.fromkeys([*translator, *names])]


def _generated(manifest: Manifest, title: str) -> str:
    blocks = [_BEGIN, *_parts(manifest), *_usage(manifest, title), *_figures(manifest), _END]
    return "\n\n".join(blocks)


def _parts(manifest: Manifest) -> Iterator[str]:
    yield "## What it is made of"
    rows = ["| role | part | weights | licence |", "|---|---|---|---|"]
    rows += [_row(role, part) for role, part in manifest.components.items()]
    if manifest.translator:
        rows.insert(3, f"| translator | `{manifest.translator.name}` | in this package | |")
    yield "\n".join(rows)
    if {"source", "target"} <= manifest.ports.keys():
        source, target = manifest.ports["source"], manifest.ports["target"]
        yield f"The translator leads from the port {_code(str(source))} to the port {_code(str(target))}."


def _row(role: str, part: Component) -> str:
    licence = part.licence or ("unknown" if part.repo else "")
    return f"| {role} | `{part.name}` | {_weights(part)} | {_inline(licence)} |"


def _weights(part: Component) -> str:
    if not part.repo:
        return "none"
    if part.revision and is_hub_id(part.repo):
        return f"[{part.repo}](https://huggingface.co/{part.repo}/tree/{part.revision}) at `{part.revision[:8]}`"
    return _code(part.repo)


def _usage(manifest: Manifest, title: str) -> Iterator[str]:
    yield "## How to run it"
    if manifest.requires:
        yield f"```sh\npip install {' '.join(repr(requirement) for requirement in manifest.requires)}\n```"
    prompts = manifest.facts.get("prompts") or ["a red bird on a branch"]
    prompt, model = json.dumps(prompts[0]), json.dumps(title)
    yield (f"```python\nimport dragoman\n\nfusion = dragoman.load({model})\nimages = fusion.sample({prompt}, n=4)\n```")
    yield f"{_code(f'dragoman check {title}')} replays the test vectors of the package on your machine."


def _figures(manifest: Manifest) -> Iterator[str]:
    figures = manifest.facts.get("figures")
    if not isinstance(figures, Mapping) or not figures:
        return
    yield "## Figures"
    rows = [f"| {_inline(name)} | {_inline(value)} |" for name, value in _flat(figures)]
    yield "\n".join(["| figure | value |", "|---|---|", *rows])


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _inline(text: str) -> str:
    """Text that stays text in a table cell: no markup, no HTML."""
    table = {"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'", "[": "\\[", "]": "\\]", "\n": " ", "&": "&amp;"}
    return "".join(table.get(character, character) for character in text)


def _code(text: str) -> str:
    return "`" + re.sub(r"[`|\n]", " ", text) + "`"
