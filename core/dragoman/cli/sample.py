"""``dragoman sample``: prompts or pictures in, one labelled grid of pictures out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dragoman.cli.sweep import read_sweeps
from dragoman.errors import InputError
from dragoman.knobs import read_knobs, split_knobs

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["sample"]

LARGEST_SEED = 2**63 - 1
READABLE_SIDE = 96


@click.command()
@click.argument("model")
@click.argument("prompts", metavar="[PROMPT]...", nargs=-1)
@click.option("-n", "count", type=click.IntRange(1), default=16, show_default=True, help="Pictures per prompt.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(0),
    help="Scale of the translator's noise: lower is more typical, 1 is what was learned. By default what the model "
    "prefers, else 1; so are the next two.",
)
@click.option(
    "--truncation",
    type=click.FloatRange(0, 1, min_open=True),
    help="Variety of the generator against typicality.",
)
@click.option(
    "--candidates",
    type=click.IntRange(1),
    help="Draws per picture, of which the model's critic keeps the best (or, with the knob ranking_temperature, one).",
)
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=VALUE",
    help="One of the model's own choices, such as guidance_scale=4; may be repeated. A name it lacks lists them.",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=A,B,C",
    help="A contact sheet over several values of a knob; given twice, the first goes down and the second across.",
)
@click.option("--device", default="cpu", show_default=True, help="Where it runs, such as cuda.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("grid.png"),
    show_default=True,
    help="A .png file, or a folder for the grid and every picture apart.",
)
def sample(
    model: str,
    prompts: tuple[str, ...],
    count: int,
    seed: int,
    temperature: float | None,
    truncation: float | None,
    candidates: int | None,
    knobs: tuple[str, ...],
    sweeps: tuple[str, ...],
    device: str,
    out: Path,
) -> None:
    """Make pictures with MODEL: a folder, or an address such as minizoo/text2fashion.

    Each PROMPT is a text. MODEL may also be an expert, NAME or NAME=ADDRESS: one that makes pictures anew takes files
    of pictures as prompts, and a generator takes none.

    \b
    dragoman sample minizoo/text2fashion "a dark boot" --knob temperature=0.7
    dragoman sample style photo.png --knob style.conv3=2 --out photo-in-style.png
    dragoman sample style photo.png --sweep content=0.3,1,3 --sweep style.conv3=0.3,1,3

    Writes one grid with a row for each prompt and prints its path. The same seed gives the same pictures.
    """
    pairs = split_knobs(knobs)
    folder = _prepared(out)
    import torch

    from dragoman.making import ExpertMaker, open_maker

    maker = open_maker(model, check_device(device))
    alone = isinstance(maker, ExpertMaker)
    if not prompts and not alone:
        raise click.UsageError("Missing argument 'PROMPT...': say what to make.")
    chosen = read_knobs(pairs, maker.knobs(), model)
    sheet = read_sweeps(sweeps, maker.knobs(), model)
    fixed: dict[str, Any] = {"temperature": temperature, "truncation": truncation, "candidates": candidates}

    def make(prompts: Sequence[str], count: int, setting: Mapping[str, Any]) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [*maker.sample(prompts, count, generator=generator, **fixed, knobs={**chosen, **setting})]

    started = time.perf_counter()
    if sheet is None:
        pictures, rows = make(prompts, count, {}), prompts
    else:
        each = [[prompt] for prompt in prompts] or [[]]
        pictures = [picture for one in each for setting in sheet.settings for picture in make(one, 1, setting)]
        rows = tuple(f"{' '.join(one)} {row}".strip() for one in each for row in sheet.rows)
    click.echo(f"{len(pictures)} pictures in {time.perf_counter() - started:.1f} s", err=True)
    plain = alone and len(pictures) == 1
    click.echo(_write([picture.cpu() for picture in pictures], rows, folder, out, plain=plain))


def check_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    import torch

    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"Device {name!r} cannot be used: {reason}; try cpu.") from error


def _prepared(out: Path) -> Path | None:
    """The folder for single pictures, or ``None``; made now, so that a bad path fails before the work."""
    is_folder = out.is_dir() or not out.suffix
    if not is_folder and out.suffix.lower() != ".png":
        raise InputError(f"{str(out)!r} is neither a folder nor a .png file; pictures are written as PNG.")
    (out if is_folder else out.parent).mkdir(parents=True, exist_ok=True)
    return out if is_folder else None


def _write(
    pictures: list[torch.Tensor], rows: Sequence[str], folder: Path | None, out: Path, *, plain: bool = False
) -> Path:
    from dragoman.images import save_png, to_pil

    per_row = len(pictures) // max(1, len(rows))
    target = out if folder is None else folder / "grid.png"
    save_png(to_pil(pictures[0]) if plain else _grid(pictures, per_row, rows), target)
    if folder is not None:
        for index, picture in enumerate(pictures):
            row, number = divmod(index, per_row)
            save_png(to_pil(picture), folder / f"{row + 1:03d}-{number + 1:04d}.png")
    return target


def _grid(pictures: list[torch.Tensor], per_row: int, rows: Sequence[str]) -> Image.Image:
    """A labelled grid; pictures smaller than the largest are padded with white."""
    import torch

    from dragoman.images import grid

    height, width = (max(picture.shape[side] for picture in pictures) for side in (1, 2))
    canvas = torch.ones(len(pictures), pictures[0].shape[0], height, width)
    for place, picture in zip(canvas, pictures, strict=True):
        place[:, : picture.shape[1], : picture.shape[2]] = picture
    return grid(canvas, per_row, scale=max(1, READABLE_SIDE // width), captions=rows)
