"""Rate-distortion curves as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from dragoman_codec.evaluation import Point

__all__ = ["svg"]

_WIDTH, _HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 20, 50
_COLOURS = ("#b3402a", "#46618f", "#5c8a4a", "#8a6d3b", "#7a4a8a")
_STYLE = "text{font:12px sans-serif;fill:#222}.tick{font-size:11px;fill:#555}.grid{stroke:#e4e4e4}"


def svg(curves: Mapping[str, Sequence[Point]], most_bpp: float = 1.5) -> str:
    """PSNR over bits per pixel, as a document that refers to nothing outside of it.

    Args:
        curves: points of each codec, by its name.
        most_bpp: right end of the picture; points beyond are left out.
    """
    kept = {name: [point for point in points if point.bpp <= most_bpp] for name, points in curves.items()}
    ratios = [point.psnr for points in kept.values() for point in points]
    low, high = math.floor(min(ratios)), math.ceil(max(ratios))

    def place(bpp: float, ratio: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * bpp / most_bpp
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (ratio - low) / (high - low)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for ratio in range(low, high + 1, 2):
        (left, y), (right, _) = place(0, ratio), place(most_bpp, ratio)
        lines.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        lines.append(f'<text class="tick" x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{ratio}</text>')
    for tick in range(int(most_bpp / 0.25) + 1):
        x, y = place(0.25 * tick, low)
        lines.append(f'<text class="tick" x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{0.25 * tick:g}</text>')
    for number, (name, points) in enumerate(kept.items()):
        lines += _curve(name, [place(point.bpp, point.psnr) for point in points], number)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">bits per pixel</text>')
    lines.append(f'<text x="8" y="{_TOP - 4}">PSNR, dB</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _curve(name: str, dots: Sequence[tuple[float, float]], number: int) -> list[str]:
    colour, y = _COLOURS[number % len(_COLOURS)], _HEIGHT - _BOTTOM - 20 - 18 * number
    line = " ".join(f"{across:.1f},{up:.1f}" for across, up in dots)
    return [
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>',
        *(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3.5" fill="{colour}"/>' for across, up in dots),
        f'<circle cx="{_WIDTH - 150}" cy="{y - 4}" r="3.5" fill="{colour}"/>',
        f'<text x="{_WIDTH - 140}" y="{y}">{escape(name)}</text>',
    ]
