"""What a run's folder says of the run: what was asked for, and how many steps it has become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dragoman.atomic import replacing
from dragoman.errors import InputError
from dragoman.recipe import Recipe

__all__ = ["Run"]

RUN = "run.json"


class Run:
    """The file ``run.json`` in a run's folder, written before any work is done.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RUN

    @property
    def started(self) -> bool:
        """Whether there is a run in the folder."""
        return self.path.exists()

    def recipe(self) -> Recipe:
        """The recipe that the run was asked to carry out.

        Raises:
            InputError: the folder holds no run, or the file is damaged.
        """
        if not self.started:
            raise InputError(f"{self.path.parent} holds no run to resume; start one without --resume.")
        return Recipe.from_dict(self._read()["recipe"])

    def start(self, recipe: Recipe, steps: int | None = None) -> None:
        """Write what the run is to do, once it is known with the number of steps.

        Raises:
            InputError: the folder cannot be written.
        """
        content = json.dumps({"recipe": recipe.to_dict(), "steps": steps}, indent=2) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as file:
                file.write(content.encode())
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}.") from error

    def resume(self, recipe: Recipe) -> int | None:
        """The number of steps that the run of this recipe was given, or ``None`` if it did not come so far.

        Raises:
            InputError: the folder holds a run of another recipe, or the file is damaged.
        """
        started, asked = self.recipe().to_dict(), json.loads(json.dumps(recipe.to_dict()))
        for table in started:
            if started[table] != asked[table]:
                raise InputError(
                    f"{self.path.parent} holds a run with {_difference(table, started[table], asked[table])}; "
                    "resume with the same options (--resume --out alone will do), or use another folder."
                )
        steps: int | None = self._read()["steps"]
        return steps

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {"recipe": dict(content["recipe"]), "steps": content["steps"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is damaged; start again without --resume.") from error


def _difference(table: str, started: Any, asked: Any) -> str:
    if not isinstance(started, dict):
        return f"{table} {started!r}, not {asked!r}"
    name = next(name for name in {**started, **asked} if started.get(name) != asked.get(name))
    return f"{table}.{name} {started.get(name)!r}, not {asked.get(name)!r}"
