"""The zoo of a process where no fixture makes it; torch is not imported."""

from __future__ import annotations

import dragoman_registry
import tiny_zoo
from dragoman import builtin, plugins
from dragoman.catalogue import Plugin
from dragoman.plugins import Zoo


def make_zoo() -> None:
    """Make the zoo of this process out of the core, the registry and the tiny zoo."""
    found = Zoo()
    found.add(builtin, Plugin("core", "dragoman", "0.1.0"))
    found.add(dragoman_registry, Plugin("registry", "dragoman", "0.1.0"))
    found.add(tiny_zoo, Plugin("tiny-zoo", "dragoman-tiny-zoo", "0.3"))
    plugins.discover = lambda path=None: found
    plugins.zoo.cache_clear()
