"""A process that saves tiny fusions and kills itself while it does."""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path

import torch

import dragoman
from dragoman.fusion import Fusion
from tiny_zoo.build import build_fusion
from tiny_zoo.zoo import make_zoo


def save_in_turns(fusion: Fusion, package: Path, done: int) -> None:
    """Save two packages over each other until somebody ends the process; the bias tells which it is."""
    for turn in count():
        save(fusion, package, turn % 2)
        os.write(done, b".")


def save(fusion: Fusion, package: Path, turn: int) -> None:
    """Save a package whose bias and facts say the turn."""
    fusion.facts["turn"] = turn
    with torch.no_grad():
        fusion.translator.get_parameter("layers.0.bias").fill_(turn)
    fusion.save_pretrained(package)


def kill_while_saving(fusion: Fusion, package: Path, saves: int, delay: float) -> int:
    """Kill a process some time after it has saved so often; give the turn that the package then holds, whole."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            save_in_turns(fusion, package, writing)
        finally:
            os._exit(1)
    for _ in range(saves):
        os.read(reading, 1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    loaded = dragoman.load(package)
    turn: int = loaded.facts["turn"]
    assert torch.all(loaded.translator.get_parameter("layers.0.bias") == turn)
    return turn


def main(experts: Path, package: Path, kills: int) -> None:
    """Print the turns found after each kill, at moments spread over the time that saving takes."""
    make_zoo()
    fusion = build_fusion(experts / "text", experts / "image")
    save(fusion, package, 0)
    started = time.monotonic()
    save(fusion, package, 0)
    duration = time.monotonic() - started
    for number in range(kills):
        print(kill_while_saving(fusion, package, 1 + number % 2, duration * number / kills))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
