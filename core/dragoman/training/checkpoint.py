"""Checkpoints of a run: written whole or not at all, and read only if they are whole."""

from __future__ import annotations

import errno
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from dragoman.atomic import replacing, system_error
from dragoman.errors import TrainingError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside ``path``, then rename it there; a failure leaves the previous one untouched.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written.
    """
    try:
        with replacing(path) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch turns some failed writes into a RuntimeError of its own
        failure = system_error(error)
        if failure is None:
            raise
        reason = "the disk is full" if failure.errno == errno.ENOSPC else failure.strerror
        kept = "the last good checkpoint is still there" if path.exists() else "nothing was written before"
        raise TrainingError(f"{path} could not be written ({reason}); {kept}. Make room and resume.") from error


def load_checkpoint(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; only tensors and plain values are accepted.

    Args:
        path: the file.
        keys: entries that it has to have.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    if not path.exists():
        raise TrainingError(f"There is no checkpoint at {path} to resume from; start without --resume.")
    try:
        # torch writes a checksum for each tensor, but does not look at it when it reads.
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        whole = whole and not set(keys) - set(state)
    except PermissionError:
        raise
    except Exception as error:  # damaged bytes can raise anything
        raise TrainingError(_damaged(path)) from error
    if not whole:
        raise TrainingError(_damaged(path))
    return state


def _damaged(path: Path) -> str:
    return f"The checkpoint {path} is damaged and cannot be resumed; delete it and start again."
