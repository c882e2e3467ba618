"""Whether the files of a package are the ones that its manifest lists."""

from __future__ import annotations

from pathlib import Path

from dragoman.errors import PackageError
from dragoman_registry.digest import digest_of_file, sha256_of_file
from dragoman_registry.manifest import MANIFEST, SAMPLES, WEIGHTS, Manifest
from dragoman_registry.parts import FileEntry

__all__ = ["list_files", "verify_files"]


def list_files(folder: Path) -> dict[str, FileEntry]:
    """The entries of a manifest for the files that it covers: the weights, the samples, everything under ``test/``."""
    named = [path for path in (folder / WEIGHTS, folder / SAMPLES) if path.exists()]
    paths = [*named, *sorted(path for path in (folder / "test").rglob("*") if path.is_file())]
    return {path.relative_to(folder).as_posix(): FileEntry(sha256_of_file(path), path.stat().st_size) for path in paths}


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every listed file, and the tensors of the weights, with the manifest.

    Raises:
        PackageError: a file is missing, altered, or leads outside the package; the sentence names it.
    """
    _check_inside(folder / MANIFEST, folder)
    for path, entry in manifest.files.items():
        _verify_file(folder, path, entry)
    if WEIGHTS not in manifest.files:
        raise PackageError(f"{folder / MANIFEST} does not list {WEIGHTS}; fetch or save the package again.")
    found = digest_of_file(folder / WEIGHTS)
    if found != manifest.digest:
        raise PackageError(
            f"The tensors of {folder / WEIGHTS} have the digest {found}, but the manifest says {manifest.digest};"
            " one of them was exchanged, fetch or save the package again."
        )


def _verify_file(folder: Path, path: str, entry: FileEntry) -> None:
    full = folder / path
    _check_inside(full, folder)
    if not full.is_file():
        raise PackageError(f"{full} is missing, though the manifest lists it; fetch or save the package again.")
    size = full.stat().st_size
    if size != entry.size:
        raise PackageError(
            f"{full} has {size:,} bytes, but the manifest says {entry.size:,}; it is truncated or altered,"
            " fetch or save the package again."
        )
    found = sha256_of_file(full)
    if found != entry.sha256:
        raise PackageError(
            f"{full} has the sha256 {found}, but the manifest says {entry.sha256}; it was altered,"
            " fetch or save the package again."
        )


def _check_inside(path: Path, folder: Path) -> None:
    """Refuse links that lead out of the package. The Hub's cache links from a snapshot to its blobs: that is inside."""
    root = folder.resolve()
    inside = [root]
    if root.parent.name == "snapshots":
        inside.append(root.parent.parent / "blobs")
    target = path.resolve()
    if not any(target.is_relative_to(place) for place in inside):
        raise PackageError(f"{path} is a link to {target}, outside the package; a package holds its own files.")
