"""Start-up of the command line, in CPU and wall time, as multiples of ``python -c pass``.

Every round runs each command once, so that a busy machine slows all of them; the minimum over rounds is reported.
Commands are run by the script that users run, with whatever plugins this environment has, and with bytecode cached: an
installer compiles a wheel, and the first run of an editable installation does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS = 15
BASELINE = "python -c pass"
PYTHON = sys.executable
SCRIPT = str(Path(PYTHON).with_name("dragoman"))
COMMANDS = {
    BASELINE: [PYTHON, "-c", "pass"],
    "import click": [PYTHON, "-c", "import click"],
    "dragoman --version": [SCRIPT, "--version"],
    "dragoman --help": [SCRIPT, "--help"],
    "dragoman plugins": [SCRIPT, "plugins"],
    "dragoman experts": [SCRIPT, "experts"],
}
#: The most that each may take, in times of the baseline.
LIMITS = {"dragoman --version": 6, "dragoman --help": 6, "dragoman plugins": 10, "dragoman experts": 10}


def run() -> dict[str, Any]:
    spent: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            seconds = seconds_of(arguments)
            fastest = spent.get(name, seconds)
            spent[name] = (min(seconds[0], fastest[0]), min(seconds[1], fastest[1]))
    return {name: describe(name, spent[name], spent[BASELINE]) for name in COMMANDS}


def describe(name: str, spent: tuple[float, float], baseline: tuple[float, float]) -> dict[str, Any]:
    times = [round(one / base, 2) for one, base in zip(spent, baseline, strict=True)]
    found = {"cpu_ms": round(1000 * spent[0], 1), "wall_ms": round(1000 * spent[1], 1)}
    found |= {"cpu_times_python": times[0], "wall_times_python": times[1]}
    return found | ({"limit": LIMITS[name], "within": max(times) <= LIMITS[name]} if name in LIMITS else {})


def seconds_of(arguments: list[str]) -> tuple[float, float]:
    """User and system time of a process and of those that it waited for, and the time on the clock."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, elapsed
