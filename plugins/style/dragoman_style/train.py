"""``python -m dragoman_style.train``: a style model from a folder of photographs and one picture for each style."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.training import Settings, Trainer
from dragoman.training.crops import Crops
from dragoman.training.trainer import check_start
from dragoman_registry.image_folder import image_paths, read_image
from dragoman_style.expert import StyleTransfer
from dragoman_style.eye import Recognition, Sources, config_of, expert_of
from dragoman_style.network import SITES
from dragoman_style.training import GRAMS, LAYERS, StyleTraining, grams_of, scales_of
from dragoman_timm.expert import Vgg
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.family import LossFamily
from dragoman_yoto.method import LossConditional

__all__ = ["FILM", "family_of", "tiles_of", "train_eye", "train_style"]

FILM: dict[str, Any] = {"hidden": 64, "strength": 0.5}
#: Against a style of 1.
_SMOOTHNESS = 0.5
#: Crops by which the losses are scaled.
_FIRST = 128
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def family_of() -> LossFamily:
    """Content and four layers of style, each over two decades, and the smoothness.

    The range of the lowest layer is a tenth of the others'. Its style costs the other losses nearly nothing: from 1 on
    there would be nothing left to gain by it, and the network would not learn what to do about its coefficient.

    The smoothness is of the family although it does not vary: beside the family, whose weights are divided by their
    sum, it would count the more the larger any coefficient is, and work against the loss that this one is to lower.
    """
    usual = {"content": 1.0, **{f"style.{name}": 1.0 for name in LAYERS}, "style.conv1": 0.1}
    varying = (Coefficient(name, value / 10, value * 10) for name, value in usual.items())
    return LossFamily((*varying, Coefficient("smoothness", _SMOOTHNESS, _SMOOTHNESS)), normalisation="sum")


def train_eye(pictures: Sequence[Tensor], size: int, folder: Path, settings: Settings) -> Expert:
    """A small VGG that tells photographs apart by crops of them.

    Args:
        pictures: uint8 ``[3, H, W]`` each.
        size: side of the crops.
        folder: of the run.
        settings: how long.
    """
    config = config_of(len(pictures), size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        method = Recognition(config)
    Trainer(method, Sources(pictures, size), settings, folder).run()
    return expert_of(config, method.network)


def train_style(
    config: dict[str, Any],
    expert: Expert,
    pictures: Sequence[Tensor],
    styles: Sequence[Tensor],
    size: int,
    folder: Path,
    settings: Settings,
    *,
    resume: bool = False,
) -> StyleTransfer:
    """Train for all coefficients at once.

    Args:
        config: ``width``, ``blocks`` and ``names`` of the styles.
        expert: whose feature maps are compared.
        pictures: photographs, uint8 ``[3, H, W]`` each.
        styles: a picture for each style, likewise.
        size: side of the crops.
        folder: of the run; the Gram matrices of the styles are kept beside it.
        settings: how long.
        resume: go on with the run that was interrupted in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {**config, "styles": len(styles), "family": family_of().to_dict(), "film": FILM}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = StyleTransfer.make(config)
        network = model.network.requires_grad_(True)
        grams = grams_of(expert, [tiles_of(style, size) for style in styles], LAYERS)
        crops = Crops(pictures, size)
        scales = scales_of(expert, grams, _first(crops, settings.seed), LAYERS)
        kept = {f"gram.{name}": value for name, value in grams.items()}
        save_file({**kept, **{f"scale.{name}": value for name, value in scales.items()}}, folder.parent / GRAMS)
        learned = StyleTraining(network, expert, grams, scales=scales)
        method = LossConditional(learned, family_of(), sites=SITES, **FILM)
    Trainer(method, crops, settings, folder).run(resume=resume)
    return StyleTransfer(config, method.conditioned)


def _first(crops: Crops, seed: int) -> Tensor:
    images = crops.batch(_FIRST, torch.Generator().manual_seed(seed))["image"]
    assert isinstance(images, Tensor)
    return images


def tiles_of(picture: Tensor, size: int, most: int = 32) -> Tensor:
    """A picture, uint8 ``[3, H, W]``, as at most so many squares of it, spread evenly; float ``[n, 3, S, S]``.

    Raises:
        InputError: it is smaller than one square.
    """
    if min(picture.shape[1:]) < size:
        raise InputError(f"A style needs a picture of at least {size} pixels, not {list(picture.shape[1:])}.")
    squares = picture.unfold(1, size, size).unfold(2, size, size).permute(1, 2, 0, 3, 4).flatten(0, 1)
    count = min(most, len(squares))
    chosen = torch.arange(count) * len(squares) // count
    return squares[chosen].float() / 255


@click.command(cls=Sentences)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pictures", type=_FOLDER, required=True, help="Folder of photographs, of at least the crops' size.")
@click.option("--style", "styles", type=_FILE, multiple=True, required=True, help="A picture; one option for each.")
@click.option("--expert", help="NAME[=ADDRESS] of a VGG or another expert; a small VGG is trained without it.")
@click.option("--eye-steps", default=1500, show_default=True, help="Steps of the small VGG.")
@click.option("--steps", default=4000, show_default=True)
@click.option("--batch-size", default=4, show_default=True)
@click.option("--crop", default=64, show_default=True, help="Side of the crops.")
@click.option("--width", default=12, show_default=True, help="Channels at full resolution.")
@click.option("--blocks", default=3, show_default=True, help="Residual blocks.")
@click.option("--seed", default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in OUT.")
def main(out: Path, pictures: Path, styles: tuple[Path, ...], expert: str | None, resume: bool, **options: Any) -> None:
    """Train a style model into the folder OUT."""
    check_start(out / "run", resume)
    photographs = [read_image(path, None, 3) for path in image_paths(pictures)]
    size, seed = options["crop"], options["seed"]
    if expert:
        spec = EndpointSpec.parse(expert)
        eye = load_expert(spec.expert, spec.address)
    elif resume:
        eye = Vgg.from_pretrained(out / "eye")
    else:
        eye = train_eye(photographs, size, out / "eye-run", Settings(options["eye_steps"], 32, seed))
        eye.save_pretrained(out / "eye")
    config = {"width": options["width"], "blocks": options["blocks"], "names": [path.stem for path in styles]}
    pixels = [read_image(path, None, 3) for path in styles]
    settings = Settings(options["steps"], options["batch_size"], seed)
    train_style(config, eye, photographs, pixels, size, out / "run", settings, resume=resume).save_pretrained(out)
    click.echo(out)


if __name__ == "__main__":
    main()
