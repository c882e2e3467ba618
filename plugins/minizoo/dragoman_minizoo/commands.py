"""The command ``dragoman demo``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["demo"]


@click.command()
@click.option(
    "--out", default="runs/demo", show_default=True, type=click.Path(path_type=Path), help="Folder of the run."
)
@click.option("--minutes", type=float, help="Time to train the quick fusion, as long as it may take.")
@click.option("--prompts", default=500, show_default=True, help="Held-out captions per tier.")
@click.option("--seed", default=0, show_default=True, help="Seed of the quick fusion.")
def demo(out: Path, minutes: float | None, prompts: int, seed: int) -> None:
    """Fuse BERT and BigGAN in front of you, offline, and compare with the shipped fusion and with simple baselines.

    The fusion is then published on a Hub that runs on this machine, and pulled again.

    Leaves OUT/grid.png (pictures), OUT/report.json (figures) and OUT/model (the fusion).
    """
    from dragoman_minizoo.demo import run

    run(out, minutes=minutes, count=prompts, seed=seed)
