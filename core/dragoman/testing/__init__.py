"""The conformance suite: one line of test that gives the author of a plugin the checks of everything the zoo relies on.

::

    from dragoman.testing import expert_tests

    test_conformance = expert_tests("my-expert", checkpoint=write_small_checkpoint)

Each check is a test of its own (``test_conformance[gradient]``), and says in one sentence what is wrong. The package is
also a pytest plugin, which gives the fixture ``dragoman_zoo``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dragoman.testing.critics import critic_tests
    from dragoman.testing.experts import expert_tests
    from dragoman.testing.light import HEAVY, assert_light
    from dragoman.testing.methods import method_tests
    from dragoman.testing.translators import translator_tests

# pytest imports this package in every run, wherever Dragoman is installed; torch has to wait for a test that needs it.
_LAZY = {
    "HEAVY": "light",
    "assert_light": "light",
    "critic_tests": "critics",
    "expert_tests": "experts",
    "method_tests": "methods",
    "translator_tests": "translators",
}

__all__ = ["HEAVY", "assert_light", "critic_tests", "expert_tests", "method_tests", "translator_tests"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"dragoman.testing.{_LAZY[name]}"), name)
