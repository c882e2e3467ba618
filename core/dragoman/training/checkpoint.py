"""Checkpoints of a run: written whole or not at all."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from dragoman.errors import TrainingError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside ``path``, then rename it there; a failure leaves the previous one untouched.

    Raises:
        TrainingError: the disk is full.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        # torch turns a failed write into a RuntimeError of its own; what matters is that nothing was lost.
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            raise
        kept = f"the last good checkpoint is still {path}" if path.exists() else "nothing was written before"
        raise TrainingError(f"The disk is full: {path} could not be written; {kept}. Free space and resume.") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; only tensors and plain values are accepted.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    if not path.exists():
        raise TrainingError(f"There is no checkpoint at {path} to resume from; start without --resume.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"The checkpoint {path} is damaged and cannot be resumed; delete it and start again."
        ) from error
    return state
