"""Pulling from a real Hub: verified, locked, and noticed when something changes afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from huggingface_hub import HfApi, constants

import dragoman
from dragoman.errors import PackageError
from dragoman.fusion import Fusion
from dragoman_registry.addresses import HubAddress
from dragoman_registry.commands_hub import pull, verify
from dragoman_registry.hub.serving import Running
from dragoman_registry.lock import all_locks, locks_folder, read_lock
from dragoman_registry.pulling import fetch

TESTS = Path(__file__).parents[1]


@pytest.fixture
def commit(shared_fusion: Fusion, elsewhere: Callable[[str], None]) -> str:
    """A fusion on the Hub, tagged v1, and an empty cache; its commit."""
    url = shared_fusion.push_to_hub("me/fusion", tag="v1")
    elsewhere("theirs")
    return url.rpartition("/")[2]


def run(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)  # type: ignore[arg-type]


def flip(path: Path) -> None:
    """Change one bit of a file, in place, and leave its size and time."""
    before = path.stat()
    target = path.resolve()
    target.chmod(0o644)
    raw = bytearray(target.read_bytes())
    raw[-1] ^= 1
    target.write_bytes(raw)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_pull_locks_every_file_and_the_experts_come_later(commit: str) -> None:
    result = run(pull, "me/fusion@v1")
    assert result.exit_code == 0, result.output
    (lock,) = all_locks()
    assert (lock.repo, lock.commit) == ("me/fusion", commit)
    assert result.stdout == f"{lock.folder}\n"
    assert {"config.json", "model.safetensors", "samples.png", "test/inputs.json"} < set(lock.files)
    assert "README.md" not in lock.files
    assert run(pull, "me/fusion@v1", "--with-experts").exit_code == 0
    assert [lock.repo for lock in all_locks()] == ["me/fusion", "me/image", "me/text"]


def test_dry_run_downloads_nothing(commit: str) -> None:
    result = run(pull, "hf://me/fusion", "--dry-run")
    assert re.search(r"model.safetensors +\d+ +to download", result.stdout)
    assert re.search(rf"me/fusion@{commit}: [1-9][\d,]+ bytes to download", result.stderr)
    assert not Path(constants.HF_HUB_CACHE).exists()
    fetch(HubAddress("me/fusion"))
    assert f"me/fusion@{commit}: 0 bytes to download" in run(pull, "me/fusion", "--dry-run").stderr


@pytest.mark.parametrize("name", ["model.safetensors", "test/inputs.json"])
def test_a_changed_byte_in_the_cache_is_named_and_repaired(commit: str, name: str) -> None:
    dragoman.load("me/fusion")
    lock = read_lock("me/fusion", commit)
    assert lock is not None
    assert run(verify).exit_code == 0
    flip(lock.folder / name)
    for address in ("me/fusion", f"me/fusion@{commit}"):
        with pytest.raises(PackageError, match=rf"{name} of me/fusion"):
            dragoman.load(address)
    result = run(verify)
    assert result.exit_code == 1
    assert (
        f"me/fusion@{commit}: altered: {name}; fetch it again with: dragoman pull me/fusion@{commit}" in result.stdout
    )
    assert json.loads(run(verify, "--json").stdout)[0]["altered"] == [name]
    assert run(pull, f"me/fusion@{commit}").exit_code == 0
    assert run(verify).exit_code == 0
    dragoman.load("me/fusion")


def test_a_changed_expert_is_noticed(commit: str, published_experts: dict[str, str]) -> None:
    dragoman.load("me/fusion")
    lock = read_lock("me/image", published_experts["image"])
    assert lock is not None
    flip(lock.folder / "model.safetensors")
    with pytest.raises(PackageError, match=r"model.safetensors of me/image in the cache"):
        dragoman.load("me/fusion")


def test_a_moved_tag_is_named(commit: str, api: HfApi, shared_fusion: Fusion) -> None:
    assert dragoman.load("me/fusion@v1") is not None
    api.delete_repo("me/fusion")  # this Hub moves no tags, so the repository is made anew
    shared_fusion.facts["new"] = True
    new = shared_fusion.push_to_hub("me/fusion", tag="v1").rpartition("/")[2]
    assert dragoman.load("me/fusion").facts["new"]  # a branch may move
    with pytest.raises(PackageError, match=f"The tag 'v1' of me/fusion was moved: it was the commit {commit}.*{new}"):
        dragoman.load("me/fusion@v1")
    assert isinstance(run(pull, "me/fusion@v1").exception, PackageError)
    assert "new" not in dragoman.load(f"me/fusion@{commit}").facts
    assert run(pull, "me/fusion@v1", "--accept-moved").exit_code == 0
    assert dragoman.load("me/fusion@v1").facts["new"]


def test_a_commit_that_is_here_needs_no_network(commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = dragoman.load("me/fusion").sample("x")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    before = time.monotonic()
    assert torch.equal(dragoman.load(f"me/fusion@{commit}").sample("x"), expected)
    assert time.monotonic() - before < 5


def test_offline_a_revision_is_what_it_was(commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = dragoman.load("me/fusion@v1").sample("x")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(dragoman.load("me/fusion@v1").sample("x"), expected)
    with pytest.raises(PackageError, match="me/fusion is not complete in the local cache, and HF_HUB_OFFLINE is set"):
        dragoman.load("me/fusion")


def test_what_was_removed_from_the_cache_comes_again(commit: str) -> None:
    location = fetch(HubAddress("me/fusion"))
    (location.folder / "model.safetensors").unlink()
    assert "1 files are no longer in the cache" in run(verify).stdout
    assert run(verify).exit_code == 0
    dragoman.load(f"me/fusion@{commit}")


def test_two_processes_pull_at_once(commit: str, served: Running, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path / "both"), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "dragoman.cli", "pull", "me/fusion"]
    pair = [
        subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    folder = Path(ended[0][0].strip())
    assert (folder / "model.safetensors").is_file()
    left = [path for path in (tmp_path / "both").rglob("*") if path.name.endswith((".incomplete", ".saving"))]
    assert left == []


def test_a_damaged_lock_is_named(commit: str) -> None:
    fetch(HubAddress("me/fusion"))
    (path,) = locks_folder().glob("*/" + "[0-9a-f]" * 40 + ".json")
    path.write_text("{}")
    with pytest.raises(PackageError, match=re.escape(str(path))):
        fetch(HubAddress("me/fusion", commit))
