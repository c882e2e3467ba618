"""Compare fusions of texts and garments: ``python -m dragoman_minizoo.compare minizoo/text2fashion runs/mine/model``.

The demo's captions of real test images in unseen words; class by the judge, attributes by measurement, variety against
real images, and the CPU time of an image from text to pixels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import click
from torch.nn import functional

import dragoman
from dragoman.cli.group import Sentences
from dragoman.fusion import Fusion
from dragoman.knobs import read_knobs, split_knobs
from dragoman.training.seeding import generator_for
from dragoman_minizoo.evaluating import held_out_prompts, make_jury
from dragoman_minizoo.judging import Jury
from dragoman_minizoo.prompts import Prompts

__all__ = ["judge_fusion"]

BATCH = 128
#: What the judge looks at.
SIDE = 32


@click.command(cls=Sentences)
@click.argument("models", nargs=-1, required=True)
@click.option("--prompts", "count", default=500, show_default=True, help="Held-out captions per tier.")
@click.option("-n", "each", default=2, show_default=True, help="Images per caption.")
@click.option("--seed", default=0, show_default=True, help="Of the captions; choose settings on others than 0.")
@click.option(
    "--knob", "knobs", multiple=True, metavar="NAME=VALUE", help="Set where a model has it, such as guidance_scale=4."
)
def main(models: tuple[str, ...], count: int, each: int, seed: int, knobs: tuple[str, ...]) -> None:
    """Judge each of MODELS on the same captions, and write JSON."""
    prompts, jury = held_out_prompts(count, seed), make_jury()
    found = {}
    for model in models:
        fusion = dragoman.load(model)
        known = {knob.name for knob in fusion.knobs()}
        asked = {name: value for name, value in split_knobs(knobs).items() if name in known}
        found[model] = judge_fusion(fusion, jury, prompts, each, read_knobs(asked, fusion.knobs(), model))
    click.echo(json.dumps(found, indent=2))


def judge_fusion(
    fusion: Fusion, jury: Jury, prompts: Mapping[str, Prompts], each: int, knobs: Mapping[str, Any]
) -> dict[str, Any]:
    """Figures by tier, and CPU milliseconds per image.

    Args:
        fusion: texts to images ``[B, 1, H, W]``; those of another size are shown to the judge at 32 pixels.
        jury: the judge.
        prompts: of each tier.
        each: images per prompt.
        knobs: of the fusion.
    """
    figures: dict[str, dict[str, float]] = {}
    spent, made = 0.0, 0
    for tier, asked in prompts.items():
        started = time.process_time()
        images = fusion.sample(
            asked.captions, each, generator=generator_for(0, "evaluation"), batch_size=BATCH, knobs=knobs
        )
        spent, made = spent + time.process_time() - started, made + len(images)
        if images.shape[-1] != SIDE:
            images = functional.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
        judged = jury.judge_images(images, asked)
        figures[tier] = {name: round(value, 4) for name, value in judged._asdict().items()}
    return {"knobs": dict(knobs), **figures, "cpu_ms_per_image": round(1e3 * spent / made, 2)}


if __name__ == "__main__":
    main()
