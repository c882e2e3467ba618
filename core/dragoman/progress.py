"""Progress of long work, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

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
    if os.environ.get("RANK", "0") != "0":  # one of several processes speaks, by the variable that torchrun sets
        yield _Silence()
    elif console.is_terminal:
        with _bar(console, what, total) as bar:
            yield bar
    else:
        yield _Lines(what, total)


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Progress]:
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}", markup=False),
    )
    # What is printed meanwhile goes above the bar, but only if both go to a terminal: data on stdout stays there.
    with bars.Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as bar:
        yield _Bar(bar, bar.add_task(what, total=total, note=""))


class _Bar:
    def __init__(self, bar: Bars, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def update(self, done: int, note: str = "") -> None:
        self.bar.update(self.task, completed=done, note=note)


class _Silence:
    def update(self, done: int, note: str = "") -> None:
        pass


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.said = what, total, -1
        self.next = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        if done == self.said or (time.monotonic() < self.next and done < self.total):
            return
        self.said, self.next = done, time.monotonic() + SECONDS_BETWEEN_LINES
        print(f"{self.what}: {done}/{self.total} {note}".rstrip(), file=sys.stderr, flush=True)
