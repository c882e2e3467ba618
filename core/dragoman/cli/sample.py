"""``dragoman sample``: prompts in, one labelled grid of pictures out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dragoman.errors import InputError
from dragoman.knobs import read_knobs, split_knobs

if TYPE_CHECKING:
    import torch

__all__ = ["sample"]

LARGEST_SEED = 2**63 - 1
READABLE_SIDE = 96


@click.command()
@click.argument("model")
@click.argument("prompts", metavar="PROMPT...", nargs=-1, required=True)
@click.option("-n", "count", type=click.IntRange(1), default=16, show_default=True, help="Pictures per prompt.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Scale of the translator's noise: lower is more typical, 1 is what was learned.",
)
@click.option(
    "--truncation",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Variety of the generator against typicality.",
)
@click.option(
    "--candidates",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Draws per picture, of which the model's critic keeps the best.",
)
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=VALUE",
    help="One of the model's own choices, such as guidance_scale=4; may be repeated. A name it lacks lists them.",
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
    temperature: float,
    truncation: float,
    candidates: int,
    knobs: tuple[str, ...],
    device: str,
    out: Path,
) -> None:
    """Make pictures from each PROMPT with MODEL: a folder, or an address such as minizoo/text2fashion.

    Writes one grid with a row for each prompt and prints its path. The same seed gives the same pictures.
    """
    pairs = split_knobs(knobs)
    folder = _prepared(out)
    import torch

    from dragoman.fusion import load

    fusion = load(model, device=check_device(device))
    chosen = read_knobs(pairs, fusion.knobs(), model)
    started = time.perf_counter()
    images = fusion.sample(
        prompts,
        count,
        generator=torch.Generator().manual_seed(seed),
        temperature=temperature,
        truncation=truncation,
        candidates=candidates,
        knobs=chosen,
    )
    click.echo(f"{len(images)} pictures in {time.perf_counter() - started:.1f} s", err=True)
    click.echo(_write(images.cpu(), prompts, folder, out))


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


def _write(images: torch.Tensor, prompts: tuple[str, ...], folder: Path | None, out: Path) -> Path:
    from dragoman.images import grid, save_png, to_pil

    per_prompt = len(images) // len(prompts)
    target = out if folder is None else folder / "grid.png"
    scale = max(1, READABLE_SIDE // images.shape[-1])
    save_png(grid(images, per_prompt, scale=scale, captions=prompts), target)
    if folder is not None:
        for index, image in enumerate(images):
            prompt, number = divmod(index, per_prompt)
            save_png(to_pil(image), folder / f"{prompt + 1:03d}-{number + 1:04d}.png")
    return target
