"""A process that runs the command line in forks of itself, so that many runs cost one import of torch.

It reads jobs from standard input, one JSON object a line, and answers each with two lines: the process id of the fork
as soon as it runs, and its exit status when it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self


class Ended(NamedTuple):
    """How a run ended: its exit status (negative for a signal) and what it said on standard output and error."""

    status: int
    stdout: str
    stderr: str


class Launcher:
    """The other end: starts the process and gives it jobs, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        variables = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tiny_zoo.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )

    def start(self, *arguments: object, **variables: object) -> int:
        """Begin a run of ``dragoman`` with these arguments and variables of the environment; give its process id."""
        names = {name: str(value) for name, value in variables.items()}
        job = {"arguments": [str(argument) for argument in arguments], "variables": names, "folder": str(self.folder)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def wait(self) -> Ended:
        """The end of the run that was begun last."""
        status = self._answer()
        return Ended(status, (self.folder / "stdout").read_text(), (self.folder / "stderr").read_text())

    def run(self, *arguments: object, **variables: object) -> Ended:
        """Both."""
        self.start(*arguments, **variables)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def _run(job: dict[str, Any]) -> None:
    """In the fork: become the command."""
    from dragoman.cli.main import main as command_line
    from dragoman.pairs import store

    os.environ.update(job["variables"])
    store.SHARD_SIZE = int(os.environ.get("TINY_SHARD", store.SHARD_SIZE))
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(job["folder"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        command_line(job["arguments"], prog_name="dragoman")
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))
    finally:
        os._exit(99)


def main() -> None:
    """Import what a run needs, and wait for jobs."""
    import accelerate  # noqa: F401

    import dragoman.cli.fuse
    import dragoman.fuse  # noqa: F401
    from tiny_zoo import training
    from tiny_zoo.zoo import make_zoo

    make_zoo()
    from dragoman.plugins import zoo

    zoo().add(training, training.plugin())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
