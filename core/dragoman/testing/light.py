"""Whether importing a module is as cheap as a module of cards has to be."""

from __future__ import annotations

import subprocess
import sys

from dragoman.testing.comparing import require

__all__ = ["HEAVY", "assert_light"]

#: Modules that nothing imports which only lists the zoo.
HEAVY = frozenset(
    {
        "PIL",
        "diffusers",
        "huggingface_hub.file_download",
        "huggingface_hub.hf_api",
        "numpy",
        "pydantic",
        "rich",
        "timm",
        "torch",
        "transformers",
        "yaml",
    }
)
SECONDS = 60


def assert_light(module: str) -> None:
    """Import a module in a fresh interpreter and look at what came with it, and at what it printed.

    Raises:
        AssertionError: it does not import, imports something of :data:`HEAVY`, or prints.
    """
    code = f"import sys, {module}; print('', *sys.modules, sep='\\n', file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = ran.stderr.splitlines()
    require(ran.returncode == 0, f"{module} does not import: {lines[-1] if lines else 'it ends the interpreter'}")
    heavy = sorted(HEAVY & set(lines))
    require(not heavy, f"importing {module} imports {', '.join(heavy)}; keep that to the module which a card targets")
    require(not ran.stdout, f"importing {module} prints {ran.stdout!r}")
