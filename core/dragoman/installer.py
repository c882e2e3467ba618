"""Installing into this environment: by pip or uv, whichever made it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from dragoman.errors import PluginError

__all__ = ["check_environment", "installer", "keeping_hint", "run_installer"]


def run_installer(verb: str, arguments: Sequence[str]) -> None:
    """Install or uninstall.

    Args:
        verb: ``"install"`` or ``"uninstall"``.
        arguments: distributions, folders, addresses, and options that pip and uv have in common.

    Raises:
        PluginError: the environment belongs to the operating system, has no installer, or the installer failed.
    """
    check_environment()
    command = installer(verb)
    # What the installer says is talk; stdout is for data.
    status = subprocess.run([*command, *arguments], stdout=sys.stderr.fileno(), check=False).returncode
    if status:
        raise PluginError(f"{_name(command)} {verb} failed with status {status}; what it said is above.")


def installer(verb: str) -> list[str]:
    """The beginning of the command: uv where uv made the environment or nothing else is there, pip otherwise.

    Raises:
        PluginError: there is neither.
    """
    from importlib.util import find_spec
    from shutil import which

    uv, has_pip = which("uv"), find_spec("pip") is not None
    if uv and (_made_by_uv() or not has_pip):
        return [uv, "pip", verb, "--python", sys.executable]
    if has_pip:
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", verb, *_without_questions(verb)]
    if _made_by_uv():
        raise PluginError("uv made this environment, but it is not on PATH and there is no pip; put uv on PATH.")
    raise PluginError(f"This environment has no pip; get it by `{sys.executable} -m ensurepip`.")


def check_environment() -> None:
    """Refuse to change a Python that belongs to the operating system (PEP 668).

    Raises:
        PluginError: it does.
    """
    import sysconfig

    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and os.path.exists(marker):
        raise PluginError(
            f"The operating system manages {sys.prefix}, so plugins cannot be installed there; make an environment of"
            " your own (`python3 -m venv ENV`), and install Dragoman and its plugins into that."
        )


def keeping_hint(names: Sequence[str]) -> str:
    """How to keep plugins where a tool manages the environment and forgets them at its next upgrade, or ``""``."""
    listed = " ".join(names)
    if os.path.exists(os.path.join(sys.prefix, "uv-receipt.toml")):
        given = " ".join(f"--with {name}" for name in names)
        return f"`uv tool upgrade` forgets this; to keep it: uv tool install dragoman {given}"
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):
        return f"`pipx reinstall` forgets this; to keep it: pipx inject dragoman {listed}"
    return ""


def _made_by_uv() -> bool:
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            return any(line.partition("=")[0].strip() == "uv" for line in file)
    except OSError:
        return False


def _without_questions(verb: str) -> list[str]:
    return ["--yes"] if verb == "uninstall" else []


def _name(command: Sequence[str]) -> str:
    return "pip" if "-m" in command else "uv pip"
