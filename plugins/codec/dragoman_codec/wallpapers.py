"""``python -m dragoman_codec.wallpapers``: the photographs and the styles of the small models, from Debian's packages.

Photographs are to train on; those for validation are what settings are chosen by, so that the unseen ones of
:mod:`dragoman_codec.photographs` are left for the figures that are told.

The packages are downloaded by apt and unpacked, not installed. Nothing of them comes with this distribution; the
licences are those of the files in Debian 12, as the packages' copyright files name them.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import click
from PIL import Image

from dragoman.cli.group import Sentences
from dragoman.errors import InputError

__all__ = ["PHOTOGRAPHS", "STYLES", "VALIDATION", "reduced"]

#: By package, folder and licence.
PHOTOGRAPHS: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("lomiri-wallpapers-16.04", "backgrounds", "CC-BY-4.0, CC-BY-SA-4.0 (Dragonfly), CC0-1.0 (seeding)"): (
        "Dragonfly_by_Bolly.jpg",
        "Picture_0B_by_freespace.jpg",
        "Picture_1A_by_freespace.jpg",
        "Wine_by_Jakkub_Mede.jpg",
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "friends_by_Aitzol_Berasategi.jpg",
        "life_by_Aitzol_Berasategi.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "seeding_by_Clements_Engelhardt.jpg",
        "sunset_by_Aitzol_Berasategi.jpg",
    ),
    ("lomiri-wallpapers-20.04", "backgrounds", "CC-BY-SA-3.0"): ("Kleiber_by_Lukas_Baubkus.jpg",),
    ("mate-backgrounds", "backgrounds/mate/nature", "GPL-2+"): (
        "Aqua.jpg",
        "Blinds.jpg",
        "Dune.jpg",
        "Garden.jpg",
        "GreenMeadow.jpg",
        "LadyBird.jpg",
        "RainDrops.jpg",
        "Storm.jpg",
        "TwoWings.jpg",
        "Wood.jpg",
        "YellowFlower.jpg",
    ),
    ("plasma-workspace-wallpapers", "wallpapers", "GPL-2+"): (
        "BytheWater",
        "ColdRipple",
        "ColorfulCups",
        "EveningGlow",
        "FallenLeaf",
        "Grey",
        "Kite",
        "OneStandsOut",
        "Path",
    ),
}
VALIDATION: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("lomiri-wallpapers-16.04", "backgrounds", "CC-BY-SA-4.0"): (
        "Bridge_by_Sander_Klootwijk.jpg",
        "free_by_Peter_Nerlich.jpg",
        "greentock_by_Peter_Nerlich.jpg",
    ),
    ("mate-backgrounds", "backgrounds/mate/nature", "GPL-2+"): ("FreshFlower.jpg",),
    ("plasma-workspace-wallpapers", "wallpapers", "GPL-2+"): ("DarkestHour", "summer_1am"),
}
STYLES: dict[tuple[str, str, str], dict[str, str]] = {
    ("mate-backgrounds", "backgrounds/mate/abstract", "GPL-2+"): {"painting": "Elephants.jpg"},
    ("gnome-backgrounds", "backgrounds/gnome", "GPL-2+"): {
        "pattern": "truchet-l.webp",
        "tiles": "licorice-l.webp",
    },
}
_PHOTOGRAPH, _STYLE = 960, 640
#: Where Plasma keeps a wallpaper that is a folder.
_IN_PLASMA = "contents/images/2560x1600.jpg"


def reduced(path: Path, longest: int) -> Image.Image:
    """A picture in RGB with a longest side of so many pixels."""
    with Image.open(path) as image:
        factor = longest / max(image.size)
        width, height = (round(factor * side) for side in image.size)
        return image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _unpacked(package: str, folder: Path, cache: Path | None) -> Path:
    """The package's files, below ``usr/share``.

    Raises:
        InputError: apt or dpkg cannot get or unpack it; the sentence repeats their last line.
    """
    target = folder / package
    target.mkdir()
    found = sorted((cache or target).glob(f"{package}_*.deb"))
    if not found:
        _run(["apt-get", "download", package], target)
        found = sorted(target.glob("*.deb"))
    _run(["dpkg-deb", "-x", str(found[0].resolve()), str(target)], target)
    return target / "usr" / "share"


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InputError(f"{command[0]} is missing: the wallpapers are packages of Debian.") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{' '.join(command[:2])} failed: {reason}") from error


@click.command(cls=Sentences)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--packages", type=click.Path(path_type=Path, exists=True), help="A folder of .deb files to use.")
def main(out: Path, packages: Path | None) -> None:
    """Write OUT/photographs, OUT/validation and OUT/styles."""
    for name in ("photographs", "validation", "styles"):
        (out / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        shares: dict[str, Path] = {}
        for package in sorted({package for package, _, _ in (*PHOTOGRAPHS, *VALIDATION, *STYLES)}):
            shares[package] = _unpacked(package, Path(scratch), packages)
        for name, photographs in (("photographs", PHOTOGRAPHS), ("validation", VALIDATION)):
            for (package, folder, _), files in photographs.items():
                for file in files:
                    path = shares[package] / folder / file
                    picture = reduced(path / _IN_PLASMA if path.is_dir() else path, _PHOTOGRAPH)
                    picture.save(out / name / f"{path.stem}.png")
        for (package, folder, _), styles in STYLES.items():
            for name, file in styles.items():
                reduced(shares[package] / folder / file, _STYLE).save(out / "styles" / f"{name}.png")
    click.echo(out)


if __name__ == "__main__":
    main()
