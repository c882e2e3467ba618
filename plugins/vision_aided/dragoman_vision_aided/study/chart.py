"""The curve of the study as an SVG: distance over images seen, a line for each run, a colour for each variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log10
from typing import Any

__all__ = ["chart"]

_COLOURS = ("#666666", "#bbbbbb", "#1f77b4", "#9ecae1", "#d62728", "#ff9896")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 640, 360, 60, 20, 50, 20


def chart(runs: Sequence[Mapping[str, Any]]) -> str:
    """The chart of runs with ``variant`` and ``curve`` (images seen, distance); the vertical axis is logarithmic."""
    points = [point for run in runs for point in run["curve"]]
    furthest = max(images for images, _ in points)
    values = [log10(max(distance, 1e-9)) for _, distance in points]
    low, high = min(values), max(max(values), min(values) + 1e-6)

    def place(images: float, distance: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * images / furthest
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - log10(max(distance, 1e-9))) / (high - low)
        return f"{x:.1f},{y:.1f}"

    variants = list(dict.fromkeys(run["variant"] for run in runs))
    parts = [_axes(furthest, 10**low, 10**high)]
    for run in runs:
        colour = _COLOURS[variants.index(run["variant"]) % len(_COLOURS)]
        line = " ".join(place(images, distance) for images, distance in run["curve"])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    body = "\n".join([*parts, *_legend(variants)])
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _axes(furthest: float, low: float, high: float) -> str:
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    return "\n".join(
        [
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<path d="M{_LEFT},{_TOP} V{floor} H{right}" fill="none" stroke="black"/>',
            f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{high:.3g}</text>',
            f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">{low:.3g}</text>',
            f'<text x="{right}" y="{floor + 16}" text-anchor="end">{furthest:,.0f} images</text>',
            f'<text x="{_LEFT}" y="{floor + 16}">0</text>',
            f'<text x="{_LEFT + 8}" y="{_TOP - 6}">Frechet distance to validation images (log)</text>',
        ]
    )


def _legend(variants: Sequence[str]) -> Iterator[str]:
    for index, variant in enumerate(variants):
        x, y = _LEFT + 170 * (index % 3), _HEIGHT - 20 + 14 * (index // 3)
        colour = _COLOURS[index % len(_COLOURS)]
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="{y}">{variant}</text>'
