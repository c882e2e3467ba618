"""The charts of the study as SVG: distance over images seen, and what the probe said over stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log10
from typing import Any

__all__ = ["curves", "rankings"]

_COLOURS = ("#555555", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 680, 400, 60, 30, 70, 20

#: One line: name, points, whether it is dashed.
Line = tuple[str, Sequence[tuple[float, float]], bool]


def curves(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean over seeds of the distance of the *best snapshot so far*, over images seen, a line for each variant.

    Args:
        runs: with ``variant`` and ``curve``, pairs of images seen and distance. Variants with an augmented
            discriminator are dashed.
    """
    lines = []
    for variant in _variants(runs):
        own = [_best_so_far(run["curve"]) for run in runs if run["variant"] == variant]
        points = [
            (sum(x for x, _ in group) / len(group), log10(sum(y for _, y in group) / len(group)))
            for group in zip(*own, strict=False)
        ]
        lines.append((variant, points, variant.endswith("+diffaugment")))
    return _chart(lines, "best Fréchet distance so far, validation images (log), mean over seeds", "images", log=True)


def rankings(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean validation accuracy of the probe by the number of critics, a line for each expert, ``progressive`` alone."""
    found: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        if not run["variant"].startswith("progressive"):
            continue
        for probed, critics in zip(run["probes"], run["critics"], strict=True):
            for each in probed:
                found.setdefault(each["name"], {}).setdefault(len(critics), []).append(each["mean"])
    lines: list[Line] = [
        (name, [(count, sum(values) / len(values)) for count, values in counts.items()], False)
        for name, counts in sorted(found.items())
    ]
    return _chart(lines, "validation accuracy of the linear probe, by critics in training so far", "critics", log=False)


def _best_so_far(curve: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    best, points = float("inf"), []
    for images, distance in curve:
        best = min(best, distance)
        points.append((images, max(best, 1e-9)))
    return points


def _variants(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(run["variant"] for run in runs))


def _chart(lines: Sequence[Line], title: str, unit: str, *, log: bool) -> str:
    points = [point for _, line, _ in lines for point in line] or [(0.0, 0.0)]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    wide, tall = max(right - left, 1e-6), max(high - low, 1e-6)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - left) / wide,
            _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - y) / tall,
        )

    parts = [*_frame(title), *(_tick(place(left, y)[1], 10**y if log else y) for y in _ticks(low, high))]
    for x in sorted({left, (left + right) / 2, right}):
        at = place(x, low)[0]
        parts.append(f'<text x="{at:.0f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:,.0f} {unit}</text>')
    for index, (_, line, dashed) in enumerate(lines):
        at_all = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        style = f'stroke="{_COLOURS[index % len(_COLOURS)]}"' + (' stroke-dasharray="6 4"' if dashed else "")
        parts.append(f'<polyline points="{at_all}" fill="none" stroke-width="2" {style}/>')
    body = "\n".join([*parts, *_legend([name for name, _, _ in lines])])
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _frame(title: str) -> Iterator[str]:
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    yield f'<path d="M{_LEFT},{_TOP} V{_HEIGHT - _BOTTOM} H{_WIDTH - _RIGHT}" fill="none" stroke="black"/>'
    yield f'<text x="{_LEFT}" y="{_TOP - 10}">{title}</text>'


def _ticks(low: float, high: float) -> list[float]:
    count = 5
    return [low + (high - low) * index / (count - 1) for index in range(count)] if high > low else [low]


def _tick(y: float, value: float) -> str:
    digits = max(0, 2 - floor(log10(max(abs(value), 1e-9))))
    line = f'<path d="M{_LEFT},{y:.0f} H{_WIDTH - _RIGHT}" stroke="#dddddd"/>'
    return f'{line}<text x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{value:.{digits}f}</text>'


def _legend(names: Sequence[str]) -> Iterator[str]:
    for index, name in enumerate(names):
        x, y = _LEFT + 200 * (index % 3), _HEIGHT - 28 + 16 * (index // 3)
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{_COLOURS[index % len(_COLOURS)]}"/>'
        yield f'<text x="{x + 14}" y="{y}">{name}</text>'
