"""Distributions made for a test: a module and a metadata folder, as pip would leave them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

TIMEOUT = 120


def install(
    site: Path,
    distribution: str,
    source: str = "",
    *,
    version: str = "1.0",
    plugin: str = "",
    commands: dict[str, str] | None = None,
) -> str:
    """Write a distribution whose one module is a plugin, and give the module's name."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    lines = ["[dragoman]", f"{plugin or module.removeprefix('dragoman_')} = {module}"] if source else []
    if commands:
        lines += ["[dragoman.commands]", *(f"{name} = {value}" for name, value in commands.items())]
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nName: wrong\n")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    importlib.invalidate_caches()
    return module


def offering(*names: str) -> str:
    """Source of a plugin that offers experts of these names."""
    cards = "\n".join(f"    register(ExpertCard({name!r}, 'nowhere.at_all:Nothing', 'made up'))" for name in names)
    return (
        "from dragoman import ExpertCard, hookimpl\n"
        f"@hookimpl\ndef register_experts(register):\n{cards or '    pass'}\n"
    )


def environment(site: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that sees the distributions in ``site``."""
    return {**os.environ, "PYTHONPATH": str(site), **variables}


def dragoman(*arguments: str, site: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "dragoman.cli", *arguments],
        env=environment(site, **variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
