"""The curve of a sweep as SVG: one metric over the alignment, or over the knob where there is no alignment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dragoman_registry.sweep import Sweep

__all__ = ["svg"]

_WIDTH, _HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 30, 60
_TICKS = 5
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.tick{font-size:11px;fill:#555}.axis{stroke:#888;fill:none}"
    "polyline{fill:none;stroke:#46618f;stroke-width:1.5}circle{fill:#46618f}"
)


def svg(sweep: Sweep, metric: str) -> str:
    """The picture, as a document that refers to nothing outside of it.

    Args:
        sweep: the points.
        metric: which figure is drawn upwards, a key of their figures.
    """
    upwards = [point.evaluation.figures[metric] for point in sweep.points]
    aligned = [point.alignment for point in sweep.points if point.alignment is not None]
    numbers = [point.value for point in sweep.points if isinstance(point.value, int | float)]
    across = aligned or (numbers if len(numbers) == len(upwards) else [float(row) for row in range(len(upwards))])
    x, y = _Axis(across, _LEFT, _WIDTH - _RIGHT), _Axis(upwards, _HEIGHT - _BOTTOM, _TOP)
    dots = [(x.place(a), y.place(b)) for a, b in zip(across, upwards, strict=True)]
    first = sweep.points[0].evaluation
    name = f"alignment by {sweep.critic}" if aligned else sweep.knob
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path class="axis" d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>',
        *(_tick(x.place(value), _HEIGHT - _BOTTOM + 18, value, "middle") for value in x.ticks()),
        *(_tick(_LEFT - 8, y.place(value) + 4, value, "end") for value in y.ticks()),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 16}" text-anchor="middle">{escape(name)}</text>',
        f'<text x="{_LEFT - 60}" y="18">{escape(f"{metric} ({first.features}, {first.samples} images)")}</text>',
        f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in dots)}"/>',
    ]
    for point, (a, b) in zip(sweep.points, dots, strict=True):
        label = f"{sweep.knob} {point.value}" if point is sweep.points[0] else str(point.value)
        lines += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4"/>',
            f'<text x="{a + 7:.1f}" y="{b - 7:.1f}">{escape(label)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


class _Axis:
    """Values to places, with a little room at both ends."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        spread = max(values) - min(values) or abs(values[0]) or 1.0
        self.low, self.high = min(values) - 0.08 * spread, max(values) + 0.12 * spread
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        step = (self.high - self.low) / (_TICKS - 1)
        return [self.low + step * number for number in range(_TICKS)]


def _tick(x: float, y: float, value: float, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{value:.3g}</text>'
