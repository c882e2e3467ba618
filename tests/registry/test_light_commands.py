"""Asking for help costs nothing: the commands import torch and the Hub's client only when they run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HEAVY = {"torch", "numpy", "PIL", "huggingface_hub", "httpx2", "starlette", "safetensors"}


@pytest.mark.parametrize("command", ["push", "pull", "search", "verify", "graph", "route", "check"])
def test_help(command: str, run_python: Callable[[str], str]) -> None:
    code = (
        f"import sys; sys.argv = ['dragoman', {command!r}, '--help']\n"
        "from dragoman.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print(*sys.modules)"
    )
    *said, modules = run_python(code).splitlines()
    assert said[0].startswith(f"Usage: dragoman {command}")
    assert not HEAVY & set(modules.split())


def test_asking_the_hub_does_not_import_torch(run_python: Callable[[str], str]) -> None:
    modules = run_python(
        "import sys\n"
        "from dragoman_registry import pins, publishing, pulling, remote_package, search, uploading\n"
        "from dragoman_registry import drawing, expert_publishing, graph, lock, routes\n"
        "print(*sys.modules)"
    ).split()
    assert not {"torch", "numpy", "huggingface_hub"} & set(modules)
