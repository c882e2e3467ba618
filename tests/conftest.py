"""Fixtures for all tests: zoos made for a test, and a tiny real fusion in one of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import dragoman_registry
import tiny_zoo
from dragoman import builtin, plugins
from dragoman.catalogue import Plugin
from dragoman.fusion import Fusion
from dragoman.plugins import Zoo

MakeZoo = Callable[..., Zoo]

# A shell starts background jobs with SIGINT ignored, and every process below inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """More threads cost more than they bring for a few hundred weights."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeZoo]:
    """Make the zoo of this process out of given plugins, whatever is installed.

    Each is a module, or a module and the :class:`Plugin` that says which distribution brings it.
    """

    def make(*modules: ModuleType | tuple[ModuleType, Plugin]) -> Zoo:
        found = Zoo()
        for entry in modules:
            module, plugin = entry if isinstance(entry, tuple) else (entry, _plugin_of(entry))
            found.add(module, plugin)
        monkeypatch.setattr(plugins, "discover", lambda **_: found)
        plugins.zoo.cache_clear()
        return found

    yield make
    plugins.zoo.cache_clear()


@pytest.fixture
def zoo_of_tiny(make_zoo: MakeZoo) -> Zoo:
    """A zoo with the core, the registry and the plugin ``dragoman-tiny-zoo`` 0.3."""
    return make_zoo(builtin, dragoman_registry, tiny_zoo)


@pytest.fixture
def experts(tmp_path: Path) -> Path:
    """A folder with the checkpoints ``text``, ``image`` and ``judge``."""
    from tiny_zoo.parts import write_checkpoints

    write_checkpoints(tmp_path / "experts")
    return tmp_path / "experts"


@pytest.fixture
def fusion(zoo_of_tiny: Zoo, experts: Path) -> Fusion:
    """Tiny text encoder, translator and renderer, joined."""
    from tiny_zoo.build import build_fusion

    return build_fusion(experts / "text", experts / "image")


@pytest.fixture
def package(fusion: Fusion, tmp_path: Path) -> Path:
    """The same, saved."""
    fusion.save_pretrained(tmp_path / "package")
    return tmp_path / "package"


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Run code in a process of its own that sees the installed plugins, and give what it prints."""

    def run(code: str) -> str:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return result.stdout

    return run


def _plugin_of(module: ModuleType) -> Plugin:
    name = module.__name__.partition(".")[0].replace("_", "-")
    if name in ("dragoman", "dragoman-registry"):
        return Plugin(name, "dragoman", "0.1.0")
    return Plugin(name, f"dragoman-{name}", "0.3")
