"""A picture of a fusion, as Mermaid: what reads, what translates, what renders, what ranks."""

from __future__ import annotations

import re

from dragoman_registry.manifest import Manifest

__all__ = ["label", "picture_of"]

_UNUSUAL = re.compile(r"[^\w .,:;/@+()\[\]-]")


def picture_of(manifest: Manifest) -> str:
    """A flow chart from the prompt to the output; ``""`` for a package that is no fusion."""
    if manifest.kind != "fusion" or manifest.translator is None:
        return ""
    source, target = manifest.components["source"], manifest.components["target"]
    given, taken = manifest.ports["source"], manifest.ports["target"]
    lines = [
        "flowchart LR",
        f'    prompt(["prompt"]) --> source["{label(source.name)}"]',
        f'    source -->|"{label(str(given))}"| translator{{{{"{label(manifest.translator.name)}"}}}}',
        f'    translator -->|"{label(str(taken))}"| target["{label(target.name)}"]',
        '    target --> output(["image"])',
    ]
    if "ranker" in manifest.components:
        lines.append(f'    output -.-> ranker["{label(manifest.components["ranker"].name)} ranks"]')
    return "\n".join([*lines, "    style translator stroke-width:3px"])


def label(text: str) -> str:
    """Text that stays text inside of a quoted label.

    >>> label('a "quoted" <b>')
    'a  quoted   b '
    """
    return _UNUSUAL.sub(" ", text)
