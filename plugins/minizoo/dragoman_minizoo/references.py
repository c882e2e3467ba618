"""What the demo's fusion is compared with: the shipped one, three baselines, and the limit of the generator.

``python -m dragoman_minizoo.references OUT`` writes them as JSON. The demo runs it beside its training: networks as
small as these hardly gain from a second core, but two processes do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import dragoman
from dragoman.cli.group import Sentences
from dragoman.endpoint import load_expert
from dragoman.errors import DragomanError
from dragoman.fusion import Fusion
from dragoman.pairs.split import TrainingPart
from dragoman.recipe import Recipe
from dragoman.training.paired import Paired
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman.translator import Translator
from dragoman_minizoo.baselines import Regression, Retrieval
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.evaluating import IMAGES_PER_PROMPT, Ground, evaluate
from dragoman_minizoo.oracle import Oracle

__all__ = ["SHIPPED", "begin", "collect", "main", "references_beside"]

SHIPPED = "minizoo/text2fashion"
#: What the process reads in the folder of the run, and what it leaves there.
RECIPE, REFERENCES, TALK = "recipe.json", "references.json", "references.log"
#: Port whose embeddings the retrieval baselines compare, and how many stored pairs they look among.
RETRIEVAL_PORT, RETRIEVED = "pooled", 8192
REGRESSION_STEPS = 500
_SECONDS_BETWEEN_LOOKS = 0.5


@click.command(cls=Sentences)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--prompts", "count", default=500, show_default=True, help="Held-out captions per tier.")
def main(out: Path, count: int) -> None:
    """Judge what the fusion in OUT is compared with, on one core, and write OUT/references.json.

    Begins when a line is read, and not at all when the input ends before.
    """
    torch.set_num_threads(1)
    shipped = dragoman.load(SHIPPED)
    if not sys.stdin.readline():
        return
    recipe = Recipe.from_dict(json.loads((out / RECIPE).read_text(encoding="utf-8")))
    ground = Ground.open(recipe, out, count)
    found = {
        "fusions": ground.judge_all_ways("shipped", shipped),
        "baselines": _baselines(ground, recipe, out),
        "limit": {"the generator itself, until it fits": _limit(ground, recipe)},
    }
    (out / REFERENCES).write_text(json.dumps(found), encoding="utf-8")


@contextmanager
def references_beside(recipe: Recipe, out: Path, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run :func:`main` in a process of its own while the block runs; what is left of it at the end is stopped.

    It loads what it needs, and waits for :func:`begin`.
    """
    (out / RECIPE).write_text(json.dumps(recipe.to_dict()), encoding="utf-8")
    (out / REFERENCES).unlink(missing_ok=True)
    command = [sys.executable, "-m", "dragoman_minizoo.references", str(out), "--prompts", str(count)]
    with (out / TALK).open("wb") as talk:
        # A session of its own: Ctrl-C is for the one in front, which then stops the other.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=talk, stderr=talk, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def begin(process: subprocess.Popen[bytes]) -> None:
    """Tell the process that the pairs are there; what is wrong with it is told by :func:`collect`."""
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(b"\n")


def collect(process: subprocess.Popen[bytes], out: Path) -> dict[str, Any]:
    """Show what the process has said and says until it ends, and read what it found.

    Raises:
        DragomanError: it failed.
    """
    with (out / TALK).open(encoding="utf-8", errors="replace") as talk:
        while process.poll() is None:
            click.echo(talk.read(), err=True, nl=False)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        click.echo(talk.read(), err=True, nl=False)
    if process.returncode:
        raise DragomanError(f"Judging the baselines failed with exit code {process.returncode}; what it said is above.")
    found: dict[str, Any] = json.loads((out / REFERENCES).read_text(encoding="utf-8"))
    return found


def _baselines(ground: Ground, recipe: Recipe, out: Path) -> dict[str, Any]:
    regression, seconds = _train_regression(ground, recipe, out)
    keys, target = _retrieved(ground)
    ways: dict[str, tuple[Translator, str, float]] = {
        "regression": (regression, ground.source.port.name, seconds),
        "nearest caption": (Retrieval(keys, target, 1), RETRIEVAL_PORT, 0.0),
        "random of the 16 nearest captions": (Retrieval(keys, target, 16), RETRIEVAL_PORT, 0.0),
    }
    found: dict[str, Any] = {}
    for name, (translator, port, spent) in ways.items():
        fusion = Fusion(ground.source, translator, ground.target)
        found[name] = ground.judge(fusion, name, port) | {
            "train_seconds": round(spent, 1),
            "translator_params": sum(p.numel() for p in translator.parameters()),
            "novelty": ground.novelty(fusion, port),
        }
    return found


def _retrieved(ground: Ground) -> tuple[Tensor, Tensor]:
    """Sentence embeddings of the first captions, and the latents that go with them."""
    rows, which = ground.store.rows[:RETRIEVED].unique(return_inverse=True)
    encoded = ground.source.expert.encode([ground.store.captions[row] for row in rows.tolist()], RETRIEVAL_PORT)
    assert isinstance(encoded, Tensor)
    return encoded[which], ground.store.target[:RETRIEVED]


def _limit(ground: Ground, recipe: Recipe) -> dict[str, Any]:
    """What rejection sampling reaches when it is told what the prompts mean."""
    captioner = load_expert(recipe.pairs["captioner"])
    assert isinstance(captioner, Captioner)
    port, spread = ground.target.port.name, recipe.pairs["spread"]
    oracle = Oracle(ground.target.expert, captioner, port, spread, generator_for(0, "oracle"))

    def render(tier: str) -> Tensor:
        return oracle.show(ground.asked.prompts[tier], IMAGES_PER_PROMPT, generator_for(1, "oracle"))

    return evaluate(render, ground.asked.prompts, ground.jury, "the generator's limit")


def _train_regression(ground: Ground, recipe: Recipe, out: Path) -> tuple[Translator, float]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        translator = Regression.build(ground.source.port, ground.target.port)
    atoms = ground.target.expert.atoms(ground.target.port.name)
    pairs = TrainingPart(ground.store, 0)
    first = pairs.batch(min(4096, len(pairs)), generator_for(0, "initialize"))
    assert isinstance(first["target"], Tensor)
    translator.initialize(first["target"], first["condition"], atoms)
    settings = Settings(steps=REGRESSION_STEPS, batch_size=256, seed=0, ema_decay=0.99, checkpoint_every=10_000)
    method = Paired(translator, learning_rate=2e-3, condition_noise=recipe.method["condition_noise"])
    result = Trainer(method, pairs, settings, out / "regression", device="cpu").run()
    return translator.eval(), result.seconds


if __name__ == "__main__":
    main()
