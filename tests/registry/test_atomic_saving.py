"""Saving: whatever happens, a folder holds the old package or the new one, whole."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import dragoman
from dragoman.errors import DragomanError, InputError, PackageError
from dragoman.fusion import Fusion
from dragoman_registry import atomic
from dragoman_registry.atomic import recover, replacing, write_file

TESTS = Path(__file__).parents[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def shift(fusion: Fusion) -> None:
    with torch.no_grad():
        for parameter in fusion.translator.parameters():
            parameter.add_(1.0)


def no_space(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "mkdir", "link"])
def test_full_disk_leaves_the_old_package(
    fusion: Fusion, package: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (package / "notes.txt").write_text("mine")
    before, neighbours = contents(package), sorted(package.parent.iterdir())
    shift(fusion)
    if call == "link":  # then the copy that takes its place fails, too
        monkeypatch.setattr(shutil, "copy2", no_space)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_space)
        with pytest.raises(PackageError, match=r"package was not saved: No space left on device"):
            fusion.save_pretrained(package)
    assert contents(package) == before
    assert sorted(package.parent.iterdir()) == neighbours
    dragoman.load(package)


def test_disk_that_fills_at_any_moment(fusion: Fusion, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flush to the disk fails in turn; only the last one comes after the exchange."""
    old, real = contents(package), os.fsync
    shift(fusion)
    left = -1

    def failing(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            no_space()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    fusion.save_pretrained(package.parent / "elsewhere" / "package")
    flushes, new = -1 - left, contents(package.parent / "elsewhere" / "package")
    assert flushes > 8
    assert new != old
    for number in range(1, flushes + 1):
        left = number
        with pytest.raises(PackageError, match="No space left on device; no half package was left there"):
            fusion.save_pretrained(package)
        assert contents(package) == (old if number < flushes else new)
        assert list(package.parent.glob(".package*")) == []


def test_file_size_limit_of_the_system(fusion: Fusion, package: Path) -> None:
    """A real failure inside the library that writes the tensors, not a patched one."""
    before = contents(package)
    shift(fusion)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(PackageError) as caught:
            fusion.save_pretrained(package)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "was not saved: " in str(caught.value)
    assert "too large" in str(caught.value)
    assert contents(package) == before


def test_sigkill_at_any_moment(fusion: Fusion, package: Path, tmp_path: Path) -> None:
    """Processes that save two packages over each other are killed: one of the two is there, whole, every time."""
    shift(fusion)
    kills = 24
    result = subprocess.run(
        [sys.executable, "-m", "tiny_zoo.process", str(tmp_path / "experts"), str(package), str(kills)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.stderr == ""
    assert len(result.stdout.split()) == kills
    assert set(result.stdout.split()) == {"0", "1"}
    assert list(package.parent.glob(".package.*.saving"))


def test_leftovers_of_killed_processes_are_swept(fusion: Fusion, package: Path) -> None:
    old, young = package.parent / ".package.old.saving", package.parent / ".package.young.saving"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    fusion.save_pretrained(package)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize("exchange", [True, False])
def test_replacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    folder = tmp_path / "a [1]" / "model"
    for content in (b"old", b"new"):
        with replacing(folder) as fresh:
            write_file(fresh / "sub" / "file", content)
        assert contents(folder) == {"sub/file": content}
    with pytest.raises(FileExistsError), replacing(folder) as fresh:
        write_file(_half(fresh) / "below", b"more")
    assert contents(folder) == {"sub/file": b"new"}
    assert list(folder.parent.iterdir()) == [folder]


def _half(fresh: Path) -> Path:
    write_file(fresh / "sub" / "file", b"half")
    return fresh / "sub" / "file"


def test_killed_between_two_renames(package: Path) -> None:
    """Where the system cannot exchange folders, the old one is set aside for a moment."""
    before = contents(package)
    package.rename(package.parent / ".package.replaced")
    assert dragoman.load(package).facts["recipe"]
    assert contents(package) == before
    recover(package)
    assert contents(package) == before


def test_second_rename_fails(fusion: Fusion, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = contents(package), Path.rename

    def rename(self: Path, target: Path) -> Path:
        return real(self, target) if not self.name.endswith(".saving") else Path(str(no_space()))

    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PackageError, match="No space left"):
        fusion.save_pretrained(package)
    assert contents(package) == before


def test_files_of_others_stay(fusion: Fusion, package: Path) -> None:
    (package / "checkpoints").mkdir()
    (package / "checkpoints" / "last").write_bytes(b"state")
    (package / "log.jsonl").write_text("{}\n")
    (package / "link").symlink_to("nowhere")
    (package / "test" / "old").write_text("ours, and gone")
    with (package / "log.jsonl").open("a") as log:  # a trainer that goes on writing while it saves
        fusion.save_pretrained(package)
        log.write("{}\n")
    assert (package / "checkpoints" / "last").read_bytes() == b"state"
    assert (package / "log.jsonl").read_text() == "{}\n{}\n"
    assert os.readlink(package / "link") == "nowhere"
    assert not (package / "test" / "old").exists()
    dragoman.load(package)


def _another_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


def _weights_alone(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x")


@pytest.mark.parametrize("fill", [_another_model, _weights_alone])
def test_another_model_is_not_overwritten(fusion: Fusion, tmp_path: Path, fill: Callable[[Path], None]) -> None:
    (tmp_path / "bert").mkdir()
    fill(tmp_path / "bert")
    before = contents(tmp_path / "bert")
    with pytest.raises(InputError, match="holds another model"):
        fusion.save_pretrained(tmp_path / "bert")
    assert contents(tmp_path / "bert") == before


def test_places_that_cannot_be_replaced(fusion: Fusion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        fusion.save_pretrained(tmp_path / "file")
    (tmp_path / "here" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deeper")
    with pytest.raises(InputError, match="where you are"):
        fusion.save_pretrained(tmp_path / "here")
    fusion.save_pretrained("model")
    dragoman.load("./model")


def test_nothing_is_written_when_the_model_is_of_no_use(fusion: Fusion, package: Path) -> None:
    before = contents(package)
    with torch.no_grad():
        next(fusion.translator.parameters()).fill_(float("nan"))
    with pytest.raises(DragomanError, match="NaN or infinite"):
        fusion.save_pretrained(package)
    assert contents(package) == before
