"""Start-up of the command line, in CPU time and as a multiple of ``python -c pass``.

Every round runs each command once, so that a busy machine slows all of them; the minimum over rounds is reported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

ROUNDS = 15
BASELINE = "python -c pass"
COMMANDS = {
    BASELINE: ["-c", "pass"],
    "import click": ["-c", "import click"],
    "dragoman --version": ["-m", "dragoman.cli", "--version"],
    "dragoman --help": ["-m", "dragoman.cli", "--help"],
    "dragoman plugins": ["-m", "dragoman.cli", "plugins"],
    "dragoman plugins --json": ["-m", "dragoman.cli", "plugins", "--json"],
    "dragoman experts": ["-m", "dragoman.cli", "experts"],
}


def run() -> dict[str, Any]:
    seconds: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            seconds[name] = min(cpu_seconds(arguments), seconds.get(name, float("inf")))
    return {
        name: {"cpu_ms": round(1000 * spent, 1), "times_python": round(spent / seconds[BASELINE], 2)}
        for name, spent in seconds.items()
    }


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one process, from its resource usage at exit."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime
