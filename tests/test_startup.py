"""Start-up stays cheap: modules are counted, since seconds depend on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "numpy",
    "transformers",
    "timm",
    "diffusers",
    "huggingface_hub.hf_api",
    "huggingface_hub.file_download",
    "pydantic",
    "yaml",
    "PIL",
    "rich",
}
COUNT = """
import sys
sys.argv = ["dragoman", *sys.argv[1:]]
from dragoman.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print(*sys.modules, file=sys.stderr)
"""


def modules_of(code: str, *arguments: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("option", ["--help", "--version", "-h"])
def test_help_and_version_import_almost_nothing_and_no_plugin(option):
    modules = modules_of(COUNT, option)
    assert len(modules) <= 120
    assert not modules & (HEAVY | {"pluggy", "importlib.metadata", "huggingface_hub", "dragoman.plugins"})
    assert not [name for name in modules if name.startswith("dragoman_")]


@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize("listing", ["plugins", "experts", "translators", "critics", "methods"])
def test_listings_import_cards_only(listing, flags):
    modules = modules_of(COUNT, listing, *flags)
    assert len(modules) <= 220
    assert not modules & HEAVY


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["plugins", "freeze"]])
def test_the_state_of_plugins_is_told_without_importing_one(arguments):
    modules = modules_of(COUNT, *arguments)
    assert "pluggy" not in modules
    assert not [name for name in modules if name.startswith("dragoman_")]


def test_showing_a_card_imports_cards_only():
    modules = modules_of(COUNT, "show", "paired")
    assert len(modules) <= 220
    assert not modules & HEAVY


def test_importing_dragoman_imports_nothing_heavy_until_a_name_is_used():
    code = "import sys, dragoman; dragoman.Port; print(*sys.modules, file=sys.stderr)"
    assert not modules_of(code) & HEAVY


def test_every_public_name_of_dragoman_resolves():
    import dragoman

    assert all(getattr(dragoman, name) is not None for name in dragoman.__all__)
    assert set(dragoman._LAZY) | {"__version__"} == set(dragoman.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        dragoman.nonsense  # noqa: B018
