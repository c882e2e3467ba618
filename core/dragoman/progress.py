"""Progress of long work, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "progress"]

SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """How far the work is."""

    def update(self, done: int, note: str = "") -> None:
        """Say how many parts are done, and optionally how it goes."""
        ...


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show ``what`` while the block runs.

    >>> with progress("encoding", total=2) as shown:
    ...     shown.update(1)
    ...     shown.update(2)
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, what, total) as bar:
            yield bar
    else:
        yield _Lines(what, total)


@contextmanager
def _bar(console: object, what: str, total: int) -> Iterator[Progress]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
    )
    with rich_progress.Progress(*columns, console=console) as bars:  # type: ignore[arg-type]
        yield _Bar(bars, bars.add_task(what, total=total, note=""))


class _Bar:
    def __init__(self, bars: object, task: object) -> None:
        self.bars, self.task = bars, task

    def update(self, done: int, note: str = "") -> None:
        self.bars.update(self.task, completed=done, note=note)  # type: ignore[attr-defined]


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.next = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        if time.monotonic() < self.next and done < self.total:
            return
        self.next = time.monotonic() + SECONDS_BETWEEN_LINES
        print(f"{self.what}: {done}/{self.total} {note}".rstrip(), file=sys.stderr, flush=True)
