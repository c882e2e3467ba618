"""New distributions from templates: every file of a plugin that passes its own tests."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from dragoman._version import __version__
from dragoman.errors import InputError

__all__ = ["KINDS", "render"]

#: What a template exists for.
KINDS = ("expert", "translator", "critic", "method")
#: Where the files of a template go, under names in which ``MY_MODULE`` stands for the package's.
PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "ci.yml": ".github/workflows/test.yml",
    "__init__.py": "MY_MODULE/__init__.py",
    "py.typed": "MY_MODULE/py.typed",
}


def render(name: str, kind: str, folder: Path) -> list[Path]:
    """Write a distribution that offers one thing of a kind.

    Args:
        name: of the plugin and of what it offers, lower case with hyphens.
        kind: one of :data:`KINDS`.
        folder: where to; made if it does not exist.

    Returns:
        The files.

    Raises:
        InputError: the name cannot be used, or the folder holds something already.
    """
    words = _words(name.removeprefix("dragoman-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something already; choose another folder with --out.")
    templates = files(__name__) / "templates"
    written = []
    for template in [*(templates / "common").iterdir(), *(templates / kind).iterdir()]:
        path = folder / _filled(_place(template), words, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(template.read_text(encoding="utf-8"), words, kind), encoding="utf-8")
        written.append(path)
    return sorted(written)


def _words(name: str) -> list[str]:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InputError(
            f"{name!r} is no name for a plugin; use lower-case letters, digits and hyphens, as in my-thing."
        )
    return name.split("-")


def _place(template: Traversable) -> str:
    name = template.name.removesuffix(".in")
    if name.startswith("test_"):
        return f"tests/{name}"
    return PLACES.get(name, f"MY_MODULE/{name}")


def _filled(text: str, words: list[str], kind: str) -> str:
    major, minor = __version__.split(".")[:2]
    values = {
        "MY_VERSIONS": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "MY_DISTRIBUTION": f"dragoman-{'-'.join(words)}",
        "MY_MODULE": f"dragoman_{'_'.join(words)}",
        "MY_NAME": "-".join(words),
        "MY_KIND": kind,
        "MyClass": "".join(word.capitalize() for word in words),
    }
    for token, value in values.items():
        text = text.replace(token, value)
    return text
