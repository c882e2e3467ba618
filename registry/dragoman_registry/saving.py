"""Writing a fusion: its translator's weights, its experts by reference, a card and test vectors."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dragoman import __version__
from dragoman.errors import InputError, PackageError
from dragoman.fusion import Fusion
from dragoman.plugins import Offer, zoo
from dragoman_registry.atomic import replacing, write_file
from dragoman_registry.card import CARD, render_card
from dragoman_registry.digest import digest_of_file
from dragoman_registry.manifest import MANIFEST, SAMPLES, WEIGHTS, Manifest, read_manifest
from dragoman_registry.parts import TranslatorPart
from dragoman_registry.references import component_of
from dragoman_registry.requirements import requirements_of
from dragoman_registry.samples import write_samples
from dragoman_registry.tensors import narrowed, save_tensors
from dragoman_registry.vectors import read_vectors, write_vectors
from dragoman_registry.verify import list_files

__all__ = ["save_fusion"]

# What belongs to the package; everything else in its folder is somebody else's and stays.
_OURS = (MANIFEST, WEIGHTS, CARD, SAMPLES, "test")
# Libraries whose version can change what a network computes.
_LIBRARIES = ("torch", "transformers", "timm", "diffusers")


def save_fusion(fusion: Fusion, folder: Path) -> None:
    """Write a package. What stands in the folder is replaced at the very end, by one rename.

    Raises:
        InputError: the folder holds something else, or the fusion has parts that a package cannot name.
        PackageError: a weight or an output is NaN or infinite, or the disk is full.
    """
    folder = folder.expanduser().resolve()
    try:
        _check_place(folder)
        with replacing(folder) as fresh:
            _carry_over(folder, fresh)
            _write(fusion, fresh, _old_card(folder), folder.name)
    except OSError as error:
        raise PackageError(
            f"{folder} was not saved: {error.strerror or error}; no half package was left there."
            " Make room or choose another folder, and save again."
        ) from error


def _write(fusion: Fusion, fresh: Path, old_card: str, title: str) -> None:
    save_tensors(narrowed(fusion.translator.state_dict()), fresh / WEIGHTS)
    training = fusion.translator.training
    fusion.translator.eval()
    write_vectors(fusion, fresh)
    write_samples(fusion, fresh)
    fusion.translator.train(training)
    manifest = replace(_describe(fusion, digest_of_file(fresh / WEIGHTS)), files=list_files(fresh))
    write_file(fresh / CARD, render_card(manifest, title, old_card).encode())
    try:
        write_file(fresh / MANIFEST, manifest.to_bytes())
    except (TypeError, ValueError) as error:
        raise InputError(f"The fusion's facts or a configuration cannot be written as JSON: {error}.") from error
    # What we would refuse to read must not be written.
    read_manifest(fresh)
    read_vectors(fresh)


def _describe(fusion: Fusion, digest: str) -> Manifest:
    catalogues = zoo()
    parts: dict[str, tuple[Offer[Any], Any]] = {
        "source": (catalogues.experts.find(fusion.source.name), fusion.source.expert),
        "target": (catalogues.experts.find(fusion.target.name), fusion.target.expert),
    }
    if fusion.ranker is not None:
        parts["ranker"] = (catalogues.critics.find(_name_of(fusion, "ranker")), fusion.ranker)
    translator = catalogues.translators.find(_name_of(fusion, "translator"))
    facts = dict(fusion.facts)
    recipe = facts.pop("recipe", {})
    return Manifest(
        kind="fusion",
        dragoman=__version__.partition("+")[0],
        digest=digest,
        requires=requirements_of([translator, *fusion.translator.offers, *(offer for offer, _ in parts.values())]),
        components={role: component_of(offer, part) for role, (offer, part) in parts.items()},
        translator=TranslatorPart(translator.card.name, translator.plugin.distribution, fusion.translator.config),
        ports={"source": fusion.source.port, "target": fusion.target.port},
        knobs=fusion.knobs(),
        recipe=recipe,
        facts={"versions": _versions(), **facts},
    )


def _name_of(fusion: Fusion, role: str) -> str:
    if role not in fusion.names:
        raise InputError(f"The fusion does not say by which card its {role} is built; pass names={{{role!r}: NAME}}.")
    return fusion.names[role]


def _versions() -> dict[str, str]:
    loaded = {name: version(name) for name in _LIBRARIES if name in sys.modules}
    return {"python": platform.python_version(), **loaded}


def _check_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder.")
    if Path.cwd().is_relative_to(folder):
        raise InputError(f"{folder} is replaced as a whole, so it cannot be where you are; give a folder inside it.")
    if any((folder / name).exists() for name in (MANIFEST, WEIGHTS)) and not _holds_package(folder):
        raise InputError(f"{folder} holds another model, or a damaged package; remove it or choose another folder.")


def _holds_package(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except PackageError:
        return False
    return True


def _carry_over(folder: Path, fresh: Path) -> None:
    """Give the new folder what others keep in the old one, such as checkpoints, as further names of the same files."""
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if entry.name in _OURS:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.copytree(entry.path, fresh / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(entry.path, str(fresh / entry.name))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def _old_card(folder: Path) -> str:
    card = folder / CARD
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
