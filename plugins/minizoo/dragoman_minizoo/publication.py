"""Publish a fusion, pull it as somebody else would, and see that it makes the same pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dragoman.errors import DragomanError

__all__ = ["publish_and_pull"]

REPOSITORY = "demo/text2fashion"
PROMPTS = ("a dark, wide handbag", "a bright, narrow dress")


def publish_and_pull(model: Path) -> dict[str, Any]:
    """Push to an embedded Hub on loopback; pull, check and sample in new processes with an empty cache.

    Args:
        model: the fusion's folder.

    Returns:
        ``repository``, what ``check`` said, and ``same_pictures``: whether the files are equal byte for byte.

    Raises:
        DragomanError: one of the commands fails; it has said why.
    """
    from dragoman_registry.hub.serving import running

    with TemporaryDirectory(prefix="dragoman-") as name:
        folder = Path(name)
        with running(folder / "hub", user=REPOSITORY.partition("/")[0]) as hub:
            hub_of = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HUB_OFFLINE": "0"}
            _dragoman("push", str(model), REPOSITORY, **hub_of, HF_HOME=str(folder / "publisher"))
            somebody = {**hub_of, "HF_HOME": str(folder / "somebody")}
            checked = _dragoman("check", REPOSITORY, **somebody)
            pictures = [folder / "published.png", folder / "pulled.png"]
            for address, picture in zip((str(model), REPOSITORY), pictures, strict=True):
                _dragoman("sample", address, *PROMPTS, "-n", "8", "--seed", "0", "--out", str(picture), **somebody)
        published, pulled = (picture.read_bytes() for picture in pictures)
        return {"repository": REPOSITORY, "check": checked.strip(), "same_pictures": published == pulled}


def _dragoman(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "dragoman", *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise DragomanError(f"dragoman {arguments[0]} failed with exit code {done.returncode}; what it said is above.")
    return done.stdout
