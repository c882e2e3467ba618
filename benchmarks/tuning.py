"""Tuning ten classes at once against ten runs, as users do either: ``dragoman tune`` once, or ten times.

The task is to bring variety back, and the setting the publication's: 200 steps on 10 latents. Processes run one after
the other, with as many threads as torch takes by itself. What a run costs beside its steps is in it: start-up, loading,
and the evaluation before and after. ``steps`` leaves that away, and runs with one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from dragoman.endpoint import load_expert
from dragoman_minizoo.data import LABELS
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.objective import Objective, start_of
from dragoman_tuning.tuning import Budget, tune_embeddings
from dragoman_tuning.wanted import Wanted

SCRIPT = str(Path(sys.executable).with_name("dragoman"))
STEPS, LATENTS, SAMPLES, FEW_STEPS = 200, 10, 250, 20
#: Wall-clock time of ten runs over that of one for ten classes.
TARGET = 3.0


def run() -> dict[str, Any]:
    """CPU and wall seconds of either way, and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        apart = [tune([name], place / str(index)) for index, name in enumerate(LABELS)]
        together = tune(LABELS, place / "together")
        ten = tuple(sum(times) for times in zip(*apart, strict=True))
        ratios = [one / other for one, other in zip(ten, together, strict=True)]
        return {
            "ten_runs": {"cpu_seconds": ten[0], "wall_seconds": ten[1]},
            "at_once": {"cpu_seconds": together[0], "wall_seconds": together[1]},
            "cpu_ratio": ratios[0],
            "wall_ratio": ratios[1],
            "target": TARGET,
            "within": ratios[1] >= TARGET,
            "steps": of_steps(place),
        }


def tune(classes: list[str] | tuple[str, ...], out: Path) -> tuple[float, float]:
    """CPU and wall seconds of one command."""
    command = [SCRIPT, "tune", "biggan-fashion", "--task", "diversify", "--preset", "published", "--starts", "1"]
    command += ["--critic", "guide-fashion", "--judge", "judge-fashion", "--device", "cpu", "--out", str(out)]
    command += ["--steps", str(STEPS), "--batch-size", str(LATENTS), "--samples", str(SAMPLES)]
    command += [part for name in classes for part in ("--classes", name)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def of_steps(place: Path) -> dict[str, float]:
    """CPU seconds of steps alone, in one process where everything is loaded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        target, critic = load_expert("biggan-fashion"), Classifier.load("guide-fashion")
        objective = Objective.preset("published", {"start": start_of("diversify", "published")})
        wanted = [Wanted(name, index, index) for index, name in enumerate(LABELS)]

        def seconds(classes: list[Wanted]) -> float:
            began = time.process_time()
            tune_embeddings(target, critic, classes, objective, Budget(FEW_STEPS, LATENTS, 1), place / "steps")
            return time.process_time() - began

        seconds(wanted[:1])
        apart, together = sum(seconds([entry]) for entry in wanted), seconds(wanted)
        return {"apart_cpu_seconds": apart, "at_once_cpu_seconds": together, "cpu_ratio": apart / together}
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
