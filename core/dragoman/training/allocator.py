"""The C library's allocator, told to keep what a step frees for the next one."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

#: ``mallopt``'s parameters, from glibc's ``malloc.h``; musl has no such function.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Reuse the memory of freed tensors on a CPU instead of returning it to the system.

    A training step frees its activations at its end, and glibc gives them back to the system; the next step then waits
    for as many pages to be found and zeroed again.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Trimming alone would stop glibc from raising the other threshold by itself.
    if mallopt is not None and mallopt(_MMAP_THRESHOLD, _BYTES):
        mallopt(_TRIM_THRESHOLD, _BYTES)
