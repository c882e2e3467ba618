"""A graph as SVG: columns of experts from those that only read to those that only render, curves between them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from dragoman_registry.graph import Edge, Graph

__all__ = ["columns_of", "svg"]

_WIDTH, _HEIGHT, _GAP, _STEP = 180, 40, 300, 90
_MARGIN = 30
_STYLE = (
    "text{font:14px sans-serif;text-anchor:middle;fill:#222}.edge{font-size:11px;fill:#555}"
    "rect{fill:#eef3fb;stroke:#46618f;rx:8}path{fill:none;stroke:#46618f;stroke-width:1.5;marker-end:url(#tip)}"
)
_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" style="fill:#46618f;stroke:none;marker-end:none"/></marker>'
)

_Places = Mapping[str, tuple[int, int]]


def svg(graph: Graph) -> str:
    """The picture, as a document that refers to nothing outside of it."""
    places = _places(graph)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + 2 * _MARGIN
    beside: dict[tuple[str, str], int] = {}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{_STYLE}</style><defs>{_TIP}</defs>",
    ]
    for edge in graph.edges:
        ends = (edge.source, edge.target)
        beside[ends] = beside.get(ends, 0) + 1
        lines += _curve(edge, places, beside[ends])
    for name, (x, y) in places.items():
        lines.append(f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}"/>')
        lines.append(f'<text x="{x + _WIDTH // 2}" y="{y + 25}">{escape(_shortened(name, 24))}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def columns_of(graph: Graph) -> dict[str, int]:
    """The column of each node: one further than those that lead to it, as far as there is no cycle."""
    column = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:  # a path has no more steps; in a cycle this stops as well
        for edge in graph.edges:
            further = column[edge.source] + 1
            if edge.source != edge.target and column[edge.target] < further < len(graph.nodes):
                column[edge.target] = further
    return column


def _places(graph: Graph) -> dict[str, tuple[int, int]]:
    filled: dict[int, int] = {}
    places = {}
    column = columns_of(graph)
    rank = {number: position for position, number in enumerate(sorted(set(column.values())))}
    for name in graph.nodes:
        row = filled.get(column[name], 0)
        filled[column[name]] = row + 1
        places[name] = (_MARGIN + rank[column[name]] * (_WIDTH + _GAP), _MARGIN + row * _STEP)
    return places


def _curve(edge: Edge, places: _Places, beside: int) -> list[str]:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    start, end = x1 + _WIDTH, x2
    if x2 <= x1:  # back, or to itself: around below
        start, end = x1, x2 + _WIDTH
    y1, y2 = y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    bend = (beside - 1) * 28
    middle_x, middle_y = (start + end) // 2, (y1 + y2) // 2 + bend + (50 if x2 <= x1 else 0)
    path = f"M{start} {y1}Q{middle_x} {2 * middle_y - (y1 + y2) // 2} {end} {y2}"
    text = _plain(f"{edge.translator}: {edge.address}")
    return [
        f'<path d="{path}"><title>{escape(text)}</title></path>',
        f'<text class="edge" x="{middle_x}" y="{middle_y - 6}">{escape(_shortened(text, 44))}</text>',
    ]


def _shortened(text: str, most: int) -> str:
    plain = _plain(text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _plain(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(character for character in text if character.isprintable())
