"""Tables and pictures of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from dragoman.images import grid, save_png

__all__ = ["pictures", "table"]

_COLUMNS = {
    "guide_accuracy": "guide",
    "judge_accuracy": "judge",
    "diversity": "diversity",
    "frechet": "Fréchet distance",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line for each class and method, mean ± standard deviation over seeds."""
    head = ["class", "method", *_COLUMNS.values()]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for group in dict.fromkeys((row["class"], row["method"]) for row in rows):
        own = [row for row in rows if (row["class"], row["method"]) == group]
        lines.append(f"| {' | '.join([*group, *(_cell([row[key] for row in own]) for key in _COLUMNS)])} |")
    return "\n".join(lines)


def pictures(images: Mapping[str, Tensor], path: Path) -> None:
    """One labelled row of samples for each entry."""
    columns = min(len(part) for part in images.values())
    shown = torch.cat([part[:columns] for part in images.values()])
    save_png(grid(shown, columns, scale=2, captions=list(images)), path)


def _cell(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
