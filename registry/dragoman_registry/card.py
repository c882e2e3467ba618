"""The card of a package, ``README.md``: generated from the manifest, around whatever a person wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from dragoman.knobs import Knob
from dragoman_registry.licences import forbids_commerce
from dragoman_registry.manifest import SAMPLES, Manifest
from dragoman_registry.metadata import flat_figures, metadata_of
from dragoman_registry.parts import Component
from dragoman_registry.patterns import is_hub_id
from dragoman_registry.picture import picture_of

__all__ = ["CARD", "own_words", "render_card"]

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
    if not own_words(old):
        body = ""
    before, begin, rest = body.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    body = before + generated + after if begin and end else f"{body or _heading(title)}\n{generated}\n"
    return _front_matter(manifest, title, matter) + body


def own_words(card: str) -> str:
    """What a person wrote in a card: its body without the generated section; ``""`` if that is but a heading."""
    _, body = _split(card)
    before, begin, rest = body.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    words = (f"{before.strip()}\n\n{after.strip()}" if begin and end else body).strip()
    return "" if re.fullmatch(r"# \S+", words) else words


def _split(card: str) -> tuple[dict[str, str], str]:
    """The front matter, as lines by top-level key, and the body."""
    opening, _, rest = card.partition("---\n")
    matter, closing, body = rest.partition("\n---\n")
    if opening or not closing:
        return {}, card
    blocks = re.split(r"^(?=[A-Za-z_][\w-]*:)", matter + "\n", flags=re.MULTILINE)
    return {block.partition(":")[0]: block for block in blocks if block.strip()}, body


def _front_matter(manifest: Manifest, title: str, kept: Mapping[str, str]) -> str:
    # JSON values are YAML values, and cannot break out of their line.
    ours = {key: f"{key}: {json.dumps(value)}\n" for key, value in metadata_of(manifest, title).items()}
    return "---\n" + "".join({**kept, **ours}.values()) + "---\n"


def _heading(title: str) -> str:
    return f"\n# {_inline(title)}\n"


def _generated(manifest: Manifest, title: str) -> str:
    blocks = [
        _BEGIN,
        *_samples(manifest),
        *_parts(manifest),
        *_usage(manifest, title),
        *_knobs(manifest),
        *_figures(manifest),
        _END,
    ]
    return "\n\n".join(blocks)


def _samples(manifest: Manifest) -> Iterator[str]:
    if SAMPLES in manifest.files:
        yield f"![What it makes of a few prompts]({SAMPLES})"


def _parts(manifest: Manifest) -> Iterator[str]:
    yield "## What it is made of"
    if picture := picture_of(manifest):
        yield f"```mermaid\n{picture}\n```"
    rows = ["| role | part | weights | licence |", "|---|---|---|---|"]
    rows += [_row(role, part) for role, part in manifest.components.items()]
    if manifest.translator:
        rows.insert(3, f"| translator | `{manifest.translator.name}` | in this package | |")
    yield "\n".join(rows)
    if {"source", "target"} <= manifest.ports.keys():
        source, target = manifest.ports["source"], manifest.ports["target"]
        yield f"The translator leads from the port {_code(str(source))} to the port {_code(str(target))}."
    for part in manifest.components.values():
        if forbids_commerce(part.licence):
            yield f"**Not for commercial use:** {_code(part.name)} is licensed under {_inline(part.licence)}."


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
    prompt, model = json.dumps(_prompt(manifest)), json.dumps(title)
    yield (f"```python\nimport dragoman\n\nfusion = dragoman.load({model})\nimages = fusion.sample({prompt}, n=4)\n```")
    yield f"{_code(f'dragoman check {title}')} replays the test vectors of the package on your machine."


def _knobs(manifest: Manifest) -> Iterator[str]:
    if manifest.knobs:
        rows = ["| knob | values | default | |", "|---|---|---|---|"]
        rows += [
            f"| {_code(knob.name)} | {_inline(knob.values)} | {_inline(_default(knob))} | {_inline(knob.summary)} |"
            for knob in manifest.knobs
        ]
        yield "\n".join(rows)


def _default(knob: Knob) -> str:
    if isinstance(knob.default, list | tuple):  # one for each stage, as it is written on the command line
        return ",".join(map(_number, knob.default))
    return "none" if knob.default is None else _number(knob.default)


def _prompt(manifest: Manifest) -> str:
    prompts = manifest.facts.get("prompts")
    first = prompts[0] if isinstance(prompts, list | tuple) and prompts else None
    return first if isinstance(first, str) else "a red bird on a branch"


def _figures(manifest: Manifest) -> Iterator[str]:
    figures = list(flat_figures(manifest))
    if not figures:
        return
    yield "## Figures"
    rows = [f"| {_inline(', '.join(path))} | {_inline(_number(value))} |" for path, value, _ in figures]
    yield "\n".join(["| figure | value |", "|---|---|", *rows])
    said = {f"{key} {value}" for _, _, settings in figures for key, value in settings.items()}
    if said:
        yield f"Measured with {_inline(', '.join(sorted(said)))}."


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _inline(text: str) -> str:
    """Text that stays text in a table cell: no markup, no HTML."""
    table = {"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'", "[": "\\[", "]": "\\]", "\n": " ", "&": "&amp;"}
    return "".join(table.get(character, character) for character in text)


def _code(text: str) -> str:
    return "`" + re.sub(r"[`|\n]", " ", text) + "`"
