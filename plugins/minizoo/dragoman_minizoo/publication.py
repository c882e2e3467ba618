"""Publish a fusion, pull it as somebody else would, and see that it makes the same pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dragoman.errors import DragomanError

__all__ = ["publish_and_pull"]

REPOSITORY = "demo/text2fashion"
#: Runs several commands in one process: most of what each takes is importing torch.
IN_TURN = """
import json, sys
from dragoman.cli.main import main
for command in json.loads(sys.argv[1]):
    try:
        main(command, prog_name="dragoman")
    except SystemExit as ended:
        if ended.code:
            raise
"""
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
            pictures = [folder / "published.png", folder / "pulled.png"]
            _dragoman(
                ["push", str(model), REPOSITORY], _sample(str(model), pictures[0]), home=folder / "publisher", **hub_of
            )
            # The last line is where the picture is.
            *checked, _ = _dragoman(
                ["check", REPOSITORY], _sample(REPOSITORY, pictures[1]), home=folder / "somebody", **hub_of
            ).splitlines()
        published, pulled = (picture.read_bytes() for picture in pictures)
        return {"repository": REPOSITORY, "check": "\n".join(checked), "same_pictures": published == pulled}


def _sample(address: str, picture: Path) -> list[str]:
    return ["sample", address, *PROMPTS, "-n", "8", "--seed", "0", "--out", str(picture)]


def _dragoman(*commands: list[str], home: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, json.dumps(commands)],
        env={**os.environ, **environment, "HF_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        names = " or ".join(f"dragoman {command[0]}" for command in commands)
        raise DragomanError(f"{names} failed with exit code {done.returncode}; what it said is above.")
    return done.stdout
