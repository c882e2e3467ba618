"""The log of a run: one JSON object a line, true to the checkpoint after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["RunLog"]


class RunLog:
    """``log.jsonl`` in the run's folder.

    Args:
        path: the file.
        step: lines of this and later steps are dropped: they belong to work that was lost.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in self._lines() if _step_of(line) < step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, **entry: Any) -> None:
        """Append one entry."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []


def _step_of(line: str) -> float:
    # A line that a kill cut short is dropped as well.
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
