"""``python -m dragoman_tuning.study --out runs/tuning``: the figures and pictures of docs/tuning.md."""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

from dragoman.cli.group import Sentences
from dragoman_tuning.study.bench import StudyBench
from dragoman_tuning.study.report import pictures, table
from dragoman_tuning.study.tasks import TASKS

SEEDS = (0, 1, 2)


@click.command(cls=Sentences)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)), help="One task; repeatable.  [all]")
@click.option("--eight", type=click.Path(path_type=Path), help="The generator of eight classes, if it is trained.")
def main(out: Path, tasks: tuple[str, ...], eight: Path | None) -> None:
    """Run the study; a task that is done is not done again."""
    bench = StudyBench(out, eight)
    for task in tasks or TASKS:
        record = out / f"{task}.json"
        if not record.exists():
            rows, images = TASKS[task](bench, SEEDS)
            out.mkdir(parents=True, exist_ok=True)
            pictures(images, out / f"tuning-{task}.png")
            record.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        click.echo(table(json.loads(record.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
