"""Randomness by counting: the generator of any step follows from the seed and the step, so nothing has to be saved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["generator_for", "global_generator_for"]


def generator_for(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator that depends on the seed and the path alone, such as ``(step, phase, rank)``.

    >>> a, b = generator_for(0, 7, "flow"), generator_for(0, 7, "flow")
    >>> bool((torch.rand(3, generator=a) == torch.rand(3, generator=b)).all())
    True
    """
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextmanager
def global_generator_for(device: torch.device, seed: int, *path: int | str) -> Iterator[None]:
    """Seed torch's global generators from the path while the block runs, and put them back as they were.

    Args:
        device: whose generator is put back, beside the CPU's.
        seed: as in :func:`generator_for`.
        *path: as in :func:`generator_for`.
    """
    value = generator_for(seed, *path, "global").initial_seed()
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        # torch.manual_seed would go through every kind of device, which takes as long as a small step.
        torch.default_generator.manual_seed(value)
        if on_cuda:
            torch.cuda.manual_seed(value)
        yield
