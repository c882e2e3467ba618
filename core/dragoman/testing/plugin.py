"""What pytest gets from Dragoman: a zoo that holds only what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dragoman.plugins import Zoo

__all__ = ["dragoman_zoo"]


@pytest.fixture
def dragoman_zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Zoo]]:
    """A function that makes the zoo of this process out of plugin modules, whatever is installed.

    ::

        def test_my_plugin(dragoman_zoo):
            assert list(dragoman_zoo(my_package).experts) == ["my-expert"]
    """
    from dragoman import plugins
    from dragoman.catalogue import Plugin

    def make(*modules: ModuleType) -> Zoo:
        found = plugins.Zoo()
        for module in modules:
            name = module.__name__.removeprefix("dragoman_")
            found.add(module, Plugin(name, module.__name__.replace("_", "-"), "0"))
        monkeypatch.setattr(plugins, "discover", lambda **_: found)
        plugins.zoo.cache_clear()
        return found

    yield make
    plugins.zoo.cache_clear()
