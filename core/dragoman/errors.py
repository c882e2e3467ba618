"""Errors that a user can act on: one sentence that names the offending thing and the way out.

The command line prints ``str(error)`` and exits with 1; a traceback means a defect of Dragoman itself.
"""

from __future__ import annotations

__all__ = [
    "DragomanError",
    "InputError",
    "PackageError",
    "PluginError",
    "PortError",
    "TrainingError",
    "UnknownNameError",
]


class DragomanError(Exception):
    """Base of every error that Dragoman raises on purpose."""


class InputError(DragomanError):
    """A value given by the user (a prompt, a file, an option) cannot be used."""


class PortError(DragomanError):
    """A port does not exist, or two ports do not fit each other."""


class PluginError(DragomanError):
    """A plugin is missing, broken, disabled, or two plugins offer one name."""


class UnknownNameError(PluginError):
    """No installed plugin offers the name."""


class PackageError(DragomanError):
    """A folder or repository is not a sound package: missing, truncated, altered or of a newer format."""


class TrainingError(DragomanError):
    """Training had to stop: a loss was not finite, or a checkpoint does not belong to the run."""
