"""The few forms of Markdown that cards use, as HTML. All text is escaped; nothing in a card becomes a tag or script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

__all__ = ["render"]

_INLINE = re.compile(
    r"(?P<code>`[^`]+`)|(?P<image>!\[[^\]]{0,300}\]\([^)\s]{1,1000}\))|(?P<link>\[[^\]]{1,300}\]\([^)\s]{1,1000}\))"
    r"|(?P<bold>\*\*[^*]{1,1000}\*\*)|(?P<italic>\*[^*\s][^*]{0,1000}\*)"
)
_TARGET = re.compile(r"!?\[(.*)\]\((.*)\)", re.DOTALL)
_RELATIVE = re.compile(r"(?:\./)?[\w][\w./-]*")
_ITEM = re.compile(r"\s{0,8}(?:[-*+]|\d{1,4}\.)\s+(.*)")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_RULE = re.compile(r"\|?[\s:|-]*-[\s:|-]*")

#: Address of a file of the repository, by its path.
Locate = Callable[[str], str]


def render(text: str, locate: Locate) -> str:
    """HTML of a card's text.

    Args:
        text: Markdown.
        locate: where pictures and linked files of the repository are.
    """
    return "\n".join(_blocks(iter(text.splitlines()), locate))


def _blocks(lines: Iterator[str], locate: Locate) -> Iterator[str]:
    paragraph: list[str] = []
    kind = ""

    def flushed() -> Iterator[str]:
        if paragraph:
            yield _block(kind, paragraph, locate)
            paragraph.clear()

    for line in lines:
        if line.lstrip().startswith(("```", "~~~")):
            yield from flushed()
            yield _code(lines, line.strip()[:3])
            continue
        found, content = _kind(line)
        if found != kind or found in ("", "heading"):
            yield from flushed()
        kind = found
        if kind:
            paragraph.append(content)
    yield from flushed()


def _kind(line: str) -> tuple[str, str]:
    if not line.strip():
        return "", ""
    if _HEADING.fullmatch(line):
        return "heading", line
    if item := _ITEM.fullmatch(line):
        return "list", item[1]
    if line.lstrip().startswith("|"):
        return "table", line.strip()
    return "text", line


def _block(kind: str, lines: list[str], locate: Locate) -> str:
    if kind == "heading":
        found = _HEADING.fullmatch(lines[0])
        level, title = (len(found[1]), found[2]) if found else (1, lines[0])
        return f"<h{level}>{_inline(title, locate)}</h{level}>"
    if kind == "list":
        return "<ul>" + "".join(f"<li>{_inline(line, locate)}</li>" for line in lines) + "</ul>"
    if kind == "table":
        return "<table>" + "".join(_row(line, locate) for line in lines if not _RULE.fullmatch(line)) + "</table>"
    return f"<p>{_inline(' '.join(lines), locate)}</p>"


def _row(line: str, locate: Locate) -> str:
    return (
        "<tr>" + "".join(f"<td>{_inline(cell.strip(), locate)}</td>" for cell in line.strip("|").split("|")) + "</tr>"
    )


def _code(lines: Iterator[str], fence: str) -> str:
    kept = []
    for line in lines:
        if line.strip() == fence:
            break
        kept.append(line)
    return f"<pre><code>{escape(chr(10).join(kept))}</code></pre>"


def _inline(text: str, locate: Locate) -> str:
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        parts += [escape(text[end : found.start()]), _element(str(found.lastgroup), found[0], locate)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def _element(kind: str, text: str, locate: Locate) -> str:
    if kind == "code":
        return f"<code>{escape(text[1:-1])}</code>"
    if kind == "bold":
        return f"<strong>{escape(text[2:-2])}</strong>"
    if kind == "italic":
        return f"<em>{escape(text[1:-1])}</em>"
    found = _TARGET.fullmatch(text)
    label, target = (found[1], found[2]) if found else (text, "")
    relative = _RELATIVE.fullmatch(target) is not None and ".." not in target
    if kind == "image":  # only the repository's own: another server would learn who reads the page
        return f'<img src="{escape(locate(target))}" alt="{escape(label)}">' if relative else escape(label)
    if relative or target.startswith(("https://", "http://", "#")):
        address = locate(target) if relative else target
        return f'<a href="{escape(address)}" rel="nofollow noopener noreferrer">{escape(label)}</a>'
    return escape(label)
