"""A limit on the seconds that somebody else's code may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["TooSlow", "limited"]


class TooSlow(BaseException):
    """The limit is over. Raised inside the code that took too long, which would handle an ``Exception`` as its own."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds of wall clock.

    Only the main thread of a process on POSIX can be interrupted; elsewhere there is no limit. A timer that was
    running goes on afterwards.

    Raises:
        TooSlow: the limit is over.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TooSlow(f"more than {seconds:g} seconds")

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    # Again every second, for code that catches everything in a loop.
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - began), 1e-3), interval)
