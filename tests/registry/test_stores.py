"""Stores: folders and the Hub, which is a server of this test that the stock client talks to."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import dragoman
from dragoman.errors import PackageError
from dragoman.stores import locate
from dragoman_registry.check import check
from dragoman_registry.stores import FolderStore, HubStore, is_path
from tiny_zoo.build import build_fusion
from tiny_zoo.hub import COMMIT, Hub, files_of

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("address", ["./x", "../x", "~/x", "/x", ".", "..", "~", "/"])
def test_what_looks_like_a_path_is_one(address: str) -> None:
    assert is_path(address)


@pytest.mark.parametrize("address", ["", "x", "ns/name", ".hidden/x", "hf://ns/name", "~user"])
def test_what_does_not(address: str) -> None:
    assert not is_path(address)


def test_an_existing_folder_comes_before_the_hub(
    zoo_of_tiny: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ns" / "name").mkdir(parents=True)
    assert locate("ns/name").folder.resolve() == tmp_path / "ns" / "name"
    assert locate("ns/name").revision == ""


@pytest.mark.parametrize("name", ["a b", "ümlaut", "me@home", "x@main"])
def test_folders_of_any_name(zoo_of_tiny: object, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert locate(tmp_path / name).folder == tmp_path / name


def test_home_is_expanded(zoo_of_tiny: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert locate("~/model").folder == tmp_path / "model"


def test_missing_folder(zoo_of_tiny: object, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"^The folder ./nowhere does not exist; give the folder that holds"):
        locate("./nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(PackageError, match="is a file, not a folder"):
        locate(tmp_path / "file")


def test_folders_have_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has no revisions; leave out 'main'"):
        FolderStore().fetch(str(tmp_path), "main")


def test_what_nobody_accepts(zoo_of_tiny: object) -> None:
    with pytest.raises(PackageError, match=r"'nothing' is neither a folder nor a known address .*folder, hub"):
        locate("nothing")


# The Hub


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    """A Hub on the loopback; put files into ``hub.RequestHandlerClass.repositories``."""
    handler = type("Handler", (Hub,), {"repositories": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def client(code: str, endpoint: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that knows the tiny zoo and the Hub at an endpoint: the client reads it when imported."""
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", "from tiny_zoo.zoo import make_zoo; make_zoo()\n" + code],
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment, **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


FETCH = """
from dragoman.errors import PackageError
from dragoman.stores import locate
import sys
for address in sys.argv[1:] or {addresses!r}:
    try:
        location = locate(address)
        names = sorted(str(p.relative_to(location.folder)) for p in location.folder.rglob("*") if p.is_file())
        print(location.address, location.revision, *names)
    except PackageError as error:
        print(error)
"""


def test_download_takes_data_of_one_commit_and_nothing_that_runs(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    handler: Any = hub.RequestHandlerClass
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    data = {
        "config.json": b"{}",
        "model.safetensors": b"w",
        "vocab.txt": b"v",
        "spiece.model": b"s",
        "sub/a.json": b"{}",
    }
    other = {"pytorch_model.bin": b"p", "modeling.py": b"evil", "README.md": b"#", "run.sh": b"evil", "model.pt": b"p"}
    handler.repositories["ns/safe"] = data | other
    handler.repositories["ns/old"] = {"config.json": b"{}", "pytorch_model.bin": b"p", "flax_model.msgpack": b"f"}
    addresses = ["ns/safe", "ns/safe@main", f"ns/safe@{COMMIT}", "ns/old", "ns/none", "ns/safe@nowhere"]
    result = client(FETCH.format(addresses=addresses), endpoint, tmp_path)
    lines = result.stdout.splitlines()
    assert lines[:3] == [f"ns/safe {COMMIT} {' '.join(sorted(data))}"] * 3
    assert lines[3] == f"ns/old {COMMIT} config.json pytorch_model.bin"
    assert lines[4] == f"{endpoint} has no model ns/none, or not for you; check the name, or run: hf auth login"
    assert lines[5] == "ns/safe has no revision 'nowhere' on the Hub; leave it out for the newest."
    assert not [path for path in handler.asked if path.endswith((".py", ".sh", ".pt", ".msgpack"))]
    assert len(lines) == len(addresses)
    assert "Traceback" not in result.stderr

    hub.shutdown()
    hub.server_close()
    addresses = ["ns/safe", f"ns/safe@{COMMIT}", "ns/never"]
    for variables in ({}, {"HF_HUB_OFFLINE": "1"}):
        lines = client(FETCH.format(addresses=addresses), endpoint, tmp_path, **variables).stdout.splitlines()
        assert lines[:2] == [f"ns/safe {COMMIT} {' '.join(sorted(data))}"] * 2
        words = "HF_HUB_OFFLINE is set; unset it" if variables else f"{endpoint} cannot be reached; check the network"
        assert lines[2] == f"ns/never is not complete in the local cache, and {words} to download it."


@pytest.fixture
def stock_client(hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Point the client of this process at the Hub of this test, with a cache by name."""
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    return lambda cache: monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / cache / "hub"))


def test_fusion_from_the_hub_with_experts_from_the_hub(
    hub: ThreadingHTTPServer, stock_client: Callable[[str], None], zoo_of_tiny: object, experts: Path, tmp_path: Path
) -> None:
    """Experts are downloaded, a fusion is made of them, saved, published, downloaded elsewhere, and is the same."""
    repositories: Any = hub.RequestHandlerClass.repositories  # type: ignore[attr-defined]
    repositories |= {f"ns/{name}": files_of(experts / name) for name in ("text", "image")}
    stock_client("mine")
    fusion = build_fusion("ns/text", "ns/image@main")
    fusion.save_pretrained(tmp_path / "made")
    components = json.loads((tmp_path / "made" / "config.json").read_text())["components"]
    assert [(part["repo"], part["revision"]) for part in components.values()] == [
        ("ns/text", COMMIT),
        ("ns/image", COMMIT),
    ]
    assert 'base_model: ["ns/text", "ns/image"]' in (tmp_path / "made" / "README.md").read_text()

    repositories["me/fusion"] = files_of(tmp_path / "made")
    stock_client("theirs")
    again = dragoman.load("me/fusion")
    assert torch.equal(again.sample("a bird", 2), fusion.sample("a bird", 2))
    assert check("me/fusion").passed

    repositories["ns/image"]["model.safetensors"] = files_of(experts / "judge")["model.safetensors"]
    stock_client("somebody-else's")
    with pytest.raises(PackageError, match="'tiny-image' at ns/image is not the one that me/fusion was made with"):
        dragoman.load("me/fusion")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot be written to the cache .*: No space left on device",
        ),
        (ValueError("odd\nanswer"), "cannot be had from .*: odd answer"),
        (KeyError(), "cannot be had from .*: KeyError"),
    ],
)
def test_every_other_failure_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, words: str
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(PackageError, match=rf"^ns/name@v1 {words}.$"):
        HubStore().fetch("ns/name", "v1")


@pytest.mark.parametrize("commit", ["main", "../../../x", "", None])
def test_answer_that_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commit: str | None) -> None:
    info = huggingface_hub.ModelInfo(id="ns/name", sha=commit, siblings=[], private=False)  # type: ignore[no-untyped-call]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    with pytest.raises(PackageError, match=f"{str(commit)!r}, which is no commit"):
        HubStore().fetch("ns/name", None)
