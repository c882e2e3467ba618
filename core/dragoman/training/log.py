"""The log of a run: one JSON object a line, true to the checkpoint after a resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragoman.atomic import replacing
from dragoman.errors import TrainingError

__all__ = ["RunLog"]


class RunLog:
    """``log.jsonl`` in the run's folder.

    Args:
        path: the file.
        step: step of the checkpoint that the run goes on from, 0 for a new run. Lines of later steps are dropped:
            they belong to work that was lost.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in self._lines() if _step_of(line) <= step]
        with replacing(path) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry.

        Raises:
            TrainingError: the disk is full, or the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise TrainingError(
                f"{self.path} could not be written ({error.strerror}); make room and resume."
            ) from error

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []


def _step_of(line: str) -> float:
    # A line that a kill cut short is dropped as well.
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
