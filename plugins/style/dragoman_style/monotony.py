"""``python -m dragoman_style.monotony``: does each loss fall as its own coefficient rises?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from safetensors.torch import load_file
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.expert import Expert
from dragoman_codec.photographs import UNSEEN, photographs, pictures_in
from dragoman_style.expert import StyleTransfer
from dragoman_style.training import GRAMS, StyleTraining
from dragoman_timm.expert import Vgg

__all__ = ["GRID", "crops_of", "judge_of", "losses_over"]

#: Positions in the ranges of the coefficients.
GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_PLACES = ((40, 60), (150, 200))


def judge_of(model: StyleTransfer, eye: Expert, tensors: Mapping[str, Tensor]) -> StyleTraining:
    """The method that a model was trained with, by its eye and the tensors in ``grams.safetensors``."""
    grams, scales = (
        {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
        for kind in ("gram.", "scale.")
    )
    return StyleTraining(model.network, eye, grams, scales=scales)


def crops_of(pictures: Sequence[Tensor], size: int) -> Tensor:
    """Two crops of each picture, uint8 ``[3, H, W]`` with sides from 200 pixels and a crop on; ``[2 N, 3, S, S]``."""
    crops = [picture[:, top : top + size, left : left + size] for picture in pictures for top, left in _PLACES]
    return torch.stack(crops).float() / 255


@torch.no_grad()
def losses_over(
    model: StyleTransfer, judge: StyleTraining, photographs: Tensor, positions: Sequence[float] = GRID
) -> dict[str, list[float]]:
    """For each coefficient, its own loss while it takes several values and the others stay at their defaults.

    Args:
        model: the model.
        judge: the method, with the expert and the Gram matrices that the model was trained with.
        photographs: float ``[B, 3, H, W]`` in [0, 1].
        positions: of the values in the range of each coefficient, from 0 to 1.

    Returns:
        For each loss its mean over photographs and styles, one for each position.
    """
    found: dict[str, list[float]] = {}
    for coefficient in model.conditioned.family.varying:
        settings = [{coefficient.name: coefficient.at(position)} for position in positions]
        found[coefficient.loss] = [_mean(model, judge, photographs, each, coefficient.loss) for each in settings]
    return found


def _mean(
    model: StyleTransfer, judge: StyleTraining, photographs: Tensor, setting: dict[str, float], loss: str
) -> float:
    total = 0.0
    for number, name in enumerate(model.config["names"]):
        made = model.decode(photographs, "photo", style=name, **setting)
        style = torch.full((len(photographs),), number)
        total += float(judge.judge(made, photographs, style)[loss].mean())
    return total / len(model.config["names"])


@click.command(cls=Sentences)
@click.argument("run", type=_FOLDER)
@click.option("--crop", default=64, show_default=True, help="Side of the crops.")
@click.option("--pictures", type=_FOLDER, help="Photographs to measure on instead, as for choices of settings.")
def main(run: Path, crop: int, pictures: Path | None) -> None:
    """Measure the model in the folder RUN, as ``dragoman_style.train`` wrote it with its own small VGG."""
    model = StyleTransfer.from_pretrained(run)
    judge = judge_of(model, Vgg.from_pretrained(run / "eye"), load_file(run / GRAMS))
    crops = crops_of(pictures_in(pictures) if pictures else photographs(UNSEEN), crop)
    click.echo(f"{'at':12}" + "".join(f"{position:>9g}" for position in GRID) + "  of the coefficient's range")
    for name, losses in losses_over(model, judge, crops).items():
        falls = "falls" if losses == sorted(losses, reverse=True) else "does not fall everywhere"
        click.echo(f"{name:12}" + "".join(f"{value:9.4f}" for value in losses) + f"  {falls}")


if __name__ == "__main__":
    main()
