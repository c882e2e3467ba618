"""A Hub that lies: nothing is written outside of the cache, nothing runs, and each lie gets one sentence."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants, snapshot_download

import dragoman
from dragoman.errors import DragomanError, PackageError
from dragoman.stores import Location
from dragoman_registry.addresses import HubAddress
from dragoman_registry.pulling import fetch
from dragoman_registry.remote import look_up
from dragoman_registry.remote_package import describe
from dragoman_registry.search import Query, search
from dragoman_registry.uploading import Upload, upload
from tiny_zoo.hostile import HostileHub, Thief, listening
from tiny_zoo.hub import COMMIT, files_of, point_client_at
from tiny_zoo.tamper import edit_manifest

MODEL = HubAddress("ns/model")
DATA = {"config.json": b"{}", "model.safetensors": b"weights", "vocab.txt": b"words"}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The lying Hub, with one honest repository to begin with, and the client pointed at it."""
    fresh = {"file_headers": {}, "api_answers": {}, "exchanged": {}, "cut": {}, "more_siblings": [], "redirect": ""}
    fresh |= {"ranges": False, "endless": (), "begun": []}
    with listening(HostileHub, repositories={"ns/model": dict(DATA)}, asked=[], **fresh) as (handler, url):
        handler.url = url
        point_client_at(monkeypatch, url, tmp_path / "home")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        yield handler
    close_session()


@pytest.fixture
def nothing_outside(hostile: Any, tmp_path: Path) -> Iterator[None]:
    """Whatever the test does, nothing appears outside of the client's home."""
    tmp_path.joinpath("bystander").write_text("untouched")
    before = outside(tmp_path)
    yield
    assert outside(tmp_path) == before


def outside(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if not path.is_relative_to(folder / "home") and path.is_file())
    return {str(path): path.read_text() for path in paths if path.name == "bystander" or "home" not in path.parts}


def refusal(address: HubAddress = MODEL) -> str:
    with pytest.raises(PackageError) as caught:
        fetch(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_honest_hub_first(hostile: Any, nothing_outside: None) -> None:
    assert fetch(MODEL).revision == COMMIT


@pytest.mark.parametrize("evil", ["../../../../x", "a/b", "..", "x" * 200, "a\\b", "/nowhere/x", "%2e%2e"])
@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag"])
def test_etags_that_are_paths(hostile: Any, nothing_outside: None, header: str, evil: str) -> None:
    hostile.file_headers = {header: f'"{evil}"'}
    assert f"the {header.lower()} {evil[:80]!r}, which no sound Hub sends" in refusal()
    assert not list(Path(constants.HF_HUB_CACHE).rglob("x*"))


@pytest.mark.parametrize("evil", ["../../x", "main", "g" * 40, "../" * 13 + "x"])
def test_commits_that_are_paths(hostile: Any, nothing_outside: None, evil: str) -> None:
    hostile.file_headers = {"X-Repo-Commit": evil}
    assert "x-repo-commit" in refusal()


def test_storage_in_a_local_folder(
    hostile: Any, nothing_outside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only files that are too large for HTTP come from a storage that the server names."""
    monkeypatch.setattr("dragoman_registry.bringing._LARGEST_OVER_HTTP", 0)
    hostile.file_headers = {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": f"{hostile.url}/api/models/token"}
    for place in (f"local://{tmp_path}/evil", "http://127.0.0.1.evil.example", "file:///tmp"):
        headers = {"X-Xet-Cas-Url": place, "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": "9999999999"}
        hostile.api_answers = {"token": (200, headers, b"{}")}
        assert "x-xet-cas-url" in refusal()
    assert not (tmp_path / "evil").exists()


def test_an_upload_does_not_ask_for_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """LFS carries what is published, so the storage's address is never taken from the server."""
    oid = hashlib.sha256(b"w").hexdigest()
    file = {"path": "a.safetensors", "uploadMode": "lfs", "shouldIgnore": False}
    answers: dict[str, Any] = {"preupload": (200, {}, json.dumps({"files": [file]}).encode())}
    batch = {"transfer": "basic", "objects": [{"oid": oid, "size": 1}]}

    class Posting(HostileHub):
        url = ""

        def do_POST(self) -> None:  # noqa: N802
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("objects/batch"):
                self._send(200, json.dumps(batch).encode(), {"Content-Type": "application/json"})
            elif self.path.startswith("/api/repos/create"):
                self._send(200, json.dumps({"url": f"{self.url}/ns/model"}).encode(), {})
            else:
                self._answer()

    with listening(Posting, repositories={}, asked=[], api_answers=answers) as (handler, url):
        handler.url = url
        commit = {"commitUrl": f"{url}/ns/model/commit/{COMMIT}", "commitOid": COMMIT}
        answers["/commit/"] = (200, {}, json.dumps(commit).encode())
        point_client_at(monkeypatch, url, tmp_path / "home")
        (tmp_path / "a.safetensors").write_bytes(b"w")
        _, made, sent = upload("ns/model", {"a.safetensors": tmp_path / "a.safetensors"}, None, Upload())
    assert (made, sent) == (COMMIT, ("a.safetensors",))
    assert not [path for path in handler.asked if "xet" in path]


@pytest.mark.parametrize(
    "name",
    ["../x.json", "/nowhere/x.json", "a/../../x.json", "a\\..\\x.json", "x\x00.json", "con.json", "ﬁ.json",
     ".hidden/x.json", "a//b.json", "x./y.json", "-" * 150 + ".json", "CONFIG.json"],
)  # fmt: skip
def test_names_that_lead_elsewhere(hostile: Any, nothing_outside: None, name: str) -> None:
    hostile.more_siblings = [{"rfilename": name, "size": 1, "blobId": "a" * 40}]
    assert "nothing was fetched" in refusal()
    assert not Path(constants.HF_HUB_CACHE).exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"size": 1},
        {"blobId": "a" * 40},
        {"size": -1, "blobId": "a" * 40},
        {"size": 1, "blobId": "../x"},
        {"size": 1, "blobId": "a" * 40, "lfs": {"sha256": "../../x", "size": 1, "pointerSize": 1}},
    ],
)
def test_files_that_could_not_be_verified(hostile: Any, nothing_outside: None, entry: dict[str, Any]) -> None:
    hostile.more_siblings = [{"rfilename": "x.json", **entry}]
    assert "does not say what bytes 'x.json' of ns/model has" in refusal()


def test_other_bytes_than_the_commit_says(hostile: Any) -> None:
    hostile.exchanged = {"model.safetensors": b"WEIGHTS"}
    said = "model.safetensors of ns/model is not the file of the commit"
    assert said in refusal()
    assert said in refusal()  # the bad bytes in the cache are not believed afterwards either
    hostile.exchanged = {}
    assert (fetch(MODEL).folder / "model.safetensors").read_bytes() == b"weights"


def test_a_file_exchanged_upstream(hostile: Any) -> None:
    location = fetch(MODEL)
    for path in location.folder.iterdir():
        path.unlink()
    hostile.repositories["ns/model"]["model.safetensors"] = b"poisons"
    assert "model.safetensors of ns/model was exchanged upstream" in refusal(HubAddress("ns/model", COMMIT))


def test_a_pickle_beside_the_weights_stays_there(hostile: Any) -> None:
    hostile.repositories["ns/model"] |= {"pytorch_model.bin": b"\x80\x04.", "evil.py": b"", "model.pkl": b""}
    assert {path.name for path in fetch(MODEL).folder.iterdir()} == set(DATA)
    assert not [path for path in hostile.asked if path.endswith((".bin", ".py", ".pkl"))]


def test_what_the_stock_client_brought_is_used_where_there_is_no_hub(
    hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(snapshot_download("ns/model", endpoint=hostile.url, cache_dir=constants.HF_HUB_CACHE))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(MODEL) == Location("ns/model", folder, COMMIT)


def test_a_token_stays_with_its_hub(hostile: Any) -> None:
    with listening(Thief, tokens=[]) as (thief, place):
        hostile.redirect = f"{place}/ns/model"
        refusal()
        assert thief.tokens
        hostile.redirect = ""
        hostile.api_answers = {"": (200, {}, b"[]")}
        hostile.repositories = {}
        link = {"Link": f'<{place}/api/models?page=2>; rel="next"', "Content-Type": "application/json"}
        hostile._answer = lambda self: self._send(200, b"[]", link)
        with pytest.raises(PackageError, match=r"leads to 127\.0\.0\.1, where your token must not go"):
            list(search(Query()))
        assert set(thief.tokens) <= {None}
        assert "hf_secret" not in str(thief.tokens)


def test_files_may_come_from_elsewhere(hostile: Any) -> None:
    """The Hub sends its clients to other servers for the bytes; what those say of them is not used."""
    del hostile.repositories["ns/model"]["config.json"], hostile.repositories["ns/model"]["vocab.txt"]
    with listening(Thief, tokens=[], content=DATA["model.safetensors"]) as (other, place):
        hostile.redirect = f"{place}/bytes"
        assert (fetch(MODEL).folder / "model.safetensors").read_bytes() == b"weights"
    assert other.tokens == [None]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client writes what it gets every ten kilobytes, not megabytes."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)


@pytest.mark.usefixtures("small_steps")
def test_a_connection_that_is_cut_goes_on_from_what_is_there(hostile: Any) -> None:
    content = bytes(range(250)) * 800
    hostile.repositories["ns/model"]["model.safetensors"] = content
    hostile.cut = {"model.safetensors": 50_000}
    assert f"{hostile.url} cannot be reached; check the network" in refusal()
    (partial,) = Path(constants.HF_HUB_CACHE).rglob("*.incomplete")
    assert partial.stat().st_size == 50_000
    assert not (partial.parents[1] / "snapshots" / COMMIT / "model.safetensors").exists()
    hostile.cut, hostile.ranges = {}, True
    hostile.asked.clear()
    location = fetch(MODEL)
    files = {path.rpartition("/")[2] for path in hostile.asked if "/resolve/" in path}
    assert files == {"model.safetensors"}
    assert hostile.begun == [("model.safetensors", 50_000)]
    assert (location.folder / "model.safetensors").read_bytes() == content
    assert not partial.exists()


@pytest.mark.usefixtures("small_steps")
def test_what_was_left_of_a_transfer_is_not_believed(hostile: Any) -> None:
    hostile.repositories["ns/model"]["model.safetensors"] = b"w" * 200_000
    hostile.cut = {"model.safetensors": 50_000}
    refusal()
    (partial,) = Path(constants.HF_HUB_CACHE).rglob("*.incomplete")
    partial.write_bytes(b"x" * 50_000)
    hostile.cut, hostile.ranges = {}, True
    assert (fetch(MODEL).folder / "model.safetensors").read_bytes() == b"w" * 200_000
    assert hostile.begun == [("model.safetensors", 50_000)]  # and then from the beginning


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_without_end_fills_no_disk(hostile: Any, nothing_outside: None, name: str) -> None:
    hostile.endless = (name,)
    size = len(DATA[name])
    assert f"The Hub sends more of {name} of ns/model than the {size:,} bytes that it said" in refusal()
    assert sum(path.stat().st_size for path in Path(constants.HF_HUB_CACHE).rglob("*") if path.is_file()) < 1000


def test_an_answer_without_end_fills_no_memory(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman_registry.guard._LARGEST_ANSWER", 1_000_000)
    hostile._api = lambda self, path: self._pour()
    assert refusal() == "127.0.0.1 answers a question without end; check HF_ENDPOINT."


def test_a_manifest_without_end_is_not_shown(hostile: Any, package: Path) -> None:
    hostile.repositories["ns/model"] = files_of(package)
    hostile.endless = ("config.json",)
    with pytest.raises(PackageError, match=r"sends more of config\.json of ns/model"):
        describe(MODEL)


def test_a_disk_that_fills_during_a_pull(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    hostile.repositories["ns/model"]["model.safetensors"] = b"w" * 200_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert "ns/model cannot be written to the cache" in refusal()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    hostile.ranges = True
    assert (fetch(MODEL).folder / "model.safetensors").stat().st_size == 200_000
    assert [start for _, start in hostile.begun] == [100_000]


def test_a_disk_that_fills_while_locking(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dragoman_registry.lock.replace_file", full)
    assert "ns/model cannot be written to the cache" in refusal()


def test_a_cache_that_others_own(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("dragoman_registry.lock.replace_file", refuse)
    assert fetch(MODEL).revision == COMMIT
    (fetch(MODEL).folder / "vocab.txt").resolve().write_bytes(b"WORDS")
    assert (fetch(MODEL).folder / "vocab.txt").read_bytes() == b"words"


def test_a_hub_without_room(hostile: Any) -> None:
    def full(self: Any) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(507, b"{}", {})

    hostile.do_POST = full
    with pytest.raises(PackageError, match="has no room for ns/new; nothing was published"):
        upload("ns/new", {"README.md": b"x"}, None, Upload())


def test_a_hub_that_goes_away_during_a_push(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PackageError, match=r"ns/new was not published: http://127.0.0.1:9 cannot be reached; check"):
        upload("ns/new", {"README.md": b"x"}, None, Upload())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (struct.pack("<Q", 100_000_000) + b"{" * 8, "has a header of 100,000,000 bytes"),
        (struct.pack("<Q", 2**63) + b"{" * 8, "is truncated or no safetensors file"),
        (b"short", "is truncated or no safetensors file"),
        (struct.pack("<Q", 8) + b"nonsense", "has no safetensors header"),
    ],
)
def test_headers_that_are_read_from_afar(
    hostile: Any, package: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes, words: str
) -> None:
    from dragoman_registry import remote_package

    files = files_of(package)
    hostile.repositories["ns/model"] = files
    monkeypatch.setattr(remote_package, "_bytes", lambda url, start, end: (raw + bytes(10**3))[start:end])
    snapshot = look_up(MODEL)
    weights = replace(snapshot.files["model.safetensors"], size=3 if raw == b"short" else 10**9)
    lying = replace(snapshot, files={**snapshot.files, "model.safetensors": weights})
    monkeypatch.setattr(remote_package, "look_up", lambda address: lying)
    with pytest.raises(PackageError, match=words):
        describe(MODEL)


def test_a_server_that_ignores_ranges_is_not_listened_to(hostile: Any, package: Path) -> None:
    hostile.repositories["ns/model"] = files_of(package)
    with pytest.raises(PackageError, match="as a whole only"):
        describe(MODEL)


def test_a_package_that_names_itself_as_its_expert(hostile: Any, zoo_of_tiny: object, package: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        for part in manifest["components"].values():
            part |= {"repo": "ns/model", "revision": COMMIT}

    edit_manifest(package, edit)
    hostile.repositories["ns/model"] = files_of(package)
    with pytest.raises(DragomanError, match="is not the one that ns/model was made with"):
        dragoman.load("ns/model")


def test_endless_lists_are_cut(hostile: Any) -> None:
    hostile.more_siblings = [{"rfilename": f"{n}.json", "size": 1, "blobId": "a" * 40} for n in range(10_001)]
    assert "10,004 files of data" in refusal()
