"""Does a package run here, and does it make what it made where it was saved? Two questions, two answers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dragoman.errors import DragomanError, PackageError
from dragoman.formats import format_of
from dragoman.stores import Location, locate
from dragoman_registry.manifest import read_manifest
from dragoman_registry.vectors import INPUTS, Tolerance, produce, read_vectors

__all__ = ["CheckReport", "check"]


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        runs: the package loads, and makes outputs of its test inputs.
        reproduces: they agree with the stored ones within the stored tolerances; ``None`` if that cannot be told,
            because it does not run or has no test vectors.
        sentences: one for each thing that was found.
        produced: where the tensors lie that were made, if they do not agree.
    """

    runs: bool
    reproduces: bool | None
    sentences: tuple[str, ...]
    produced: Path | None = None

    @property
    def passed(self) -> bool:
        """Both hold."""
        return self.runs and self.reproduces is True


def check(
    address: str | Path,
    *,
    revision: str | None = None,
    keep: Path | None = None,
    device: str | torch.device | None = None,
) -> CheckReport:
    """Load a package, replay its test vectors and compare.

    Args:
        address: folder, Hub id, or what an installed store offers.
        revision: branch, tag or commit.
        keep: folder for the produced tensors if they do not agree; a temporary one when omitted.
        device: where the fusion runs.

    Raises:
        PackageError: there is nothing at the address to check.
    """
    location = locate(address, revision)
    package_format = format_of(location)
    try:
        fusion = package_format.load(location, device=device)
        if INPUTS not in read_manifest(location.folder).files:
            return CheckReport(True, None, (f"{address} loads, but has no test vectors to replay.",))
        inputs, expected, tolerances = read_vectors(location.folder)
        made = produce(fusion, inputs)
    except DragomanError as error:
        return CheckReport(False, None, (str(error),))
    except Exception as error:  # a defect of a plugin is an answer here, not the end
        reason = " ".join(str(error).split())
        return CheckReport(False, None, (f"{address} stops with {type(error).__name__}: {reason}.",))
    return _compared(location, made, expected, tolerances, keep)


def _compared(
    location: Location,
    made: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    tolerances: Mapping[str, Tolerance],
    keep: Path | None,
) -> CheckReport:
    results = [_compare(name, made.get(name), expected[name], tolerances[name]) for name in sorted(expected)]
    sentences = (f"{location.address} loads and makes outputs.", *(sentence for _, sentence in results))
    if all(agrees for agrees, _ in results):
        return CheckReport(True, True, sentences)
    produced = _keep(made, keep)
    return CheckReport(True, False, (*sentences, f"What was produced is kept in {produced}."), produced)


def _compare(name: str, made: Tensor | None, expected: Tensor, tolerance: Tolerance) -> tuple[bool, str]:
    if made is None:
        return False, f"{name}: not produced."
    if made.shape != expected.shape:
        return False, f"{name}: has shape {list(made.shape)}, stored is {list(expected.shape)}."
    new, old = made.double(), expected.double()
    gap = (new - old).abs()
    # A NaN is never within the bound.
    share = 1.0 - (gap <= tolerance.atol + tolerance.rtol * old.abs()).double().mean().item()
    agrees = share <= tolerance.max_mismatch
    verdict = "reproduced" if agrees else "differs"
    return agrees, (
        f"{name}: {verdict}, largest difference {gap.max().item():.3g}, {share:.2%} of the elements beyond"
        f" atol {tolerance.atol:.3g} + rtol {tolerance.rtol:.3g} (allowed {tolerance.max_mismatch:.2%})."
    )


def _keep(made: Mapping[str, Tensor], keep: Path | None) -> Path:
    """Write the produced tensors, NaN and all."""
    from safetensors.torch import save_file

    folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="dragoman-check-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous().clone() for name, tensor in made.items()}, folder / "outputs.safetensors")
    except OSError as error:
        raise PackageError(f"The produced tensors cannot be kept in {folder}: {error.strerror}.") from error
    return folder
