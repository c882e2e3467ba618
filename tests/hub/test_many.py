"""Many writers at once, long lists, and memory that does not grow with files."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from dragoman_registry.hub.committing import apply
from dragoman_registry.hub.serving import Running, running

Send = Callable[..., Any]


def test_no_commit_of_many_writers_is_lost(repo: str, commit: Send, alice: HfApi) -> None:
    def write(number: int) -> str:
        answer = commit(repo, ("file", {"path": f"{number}.txt", "content": str(number), "encoding": "utf-8"}))
        oid: str = answer.json()["commitOid"]
        return oid

    with ThreadPoolExecutor(16) as pool:
        commits = set(pool.map(write, range(64)))
    assert set(alice.list_repo_files(repo)) == {f"{number}.txt" for number in range(64)}
    assert commits <= {entry.commit_id for entry in alice.list_repo_commits(repo)}


def test_one_of_many_rivals_wins(repo: str, commit: Send, alice: HfApi) -> None:
    head, barrier = alice.model_info(repo).sha, threading.Barrier(8)

    def write(number: int) -> int:
        barrier.wait()
        status: int = commit(repo, ("file", {"path": f"{number}", "content": "x"}), parentCommit=head).status
        return status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(8))) == [200] + [412] * 7
    assert len(alice.list_repo_files(repo)) == 1


def test_one_of_many_creates(ask: Send, alice: HfApi) -> None:
    body = {"name": f"new{os.urandom(3).hex()}", "organization": "alice"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask("POST", "/api/repos/create", body, api=alice).status, range(8)))
    assert sorted(answers) == [200] + [409] * 7


def test_lists_are_searched_filtered_and_paged(tmp_path: Path) -> None:
    with running(tmp_path / "hub") as server:
        api = HfApi(endpoint=server.url, token=server.token)
        for number in range(23):
            repo = api.create_repo(f"many/model-{number:02d}").repo_id
            card = f"---\ntags: [fusion, {'even' if number % 2 == 0 else 'odd'}]\npipeline_tag: text-to-image\n---\n"
            api.create_commit(repo, [CommitOperationAdd("README.md", card.encode())], commit_message="card")
        api.create_repo("other/Model-99")
        names = [f"many/model-{number:02d}" for number in range(23)]
        assert sorted(model.id for model in api.list_models(author="many")) == names
        assert sorted(model.id for model in api.list_models(filter=["fusion", "odd"])) == names[1::2]
        assert [model.id for model in api.list_models(search="MODEL-1", author="many", sort="created_at")] == names[
            19:9:-1
        ]
        assert [model.id for model in api.list_models(search="99")] == ["other/Model-99"]
        assert len(list(api.list_models(pipeline_tag="text-to-image", limit=5))) == 5
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=names[3])
        newest = next(iter(api.list_models(sort="last_modified", full=True)))
        assert (newest.id, newest.sha) == (names[3], api.model_info(names[3]).sha)
        assert _pages(server, "/api/models?limit=7&author=many&sort=lastModified") == [7, 7, 7, 2]


def _pages(server: Running, path: str) -> list[int]:
    sizes: list[int] = []
    seen: set[str] = set()
    while path:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", path)
        response = connection.getresponse()
        names = [entry["id"] for entry in json.loads(response.read())]
        assert not seen & set(names)
        seen |= set(names)
        sizes.append(len(names))
        link = response.getheader("Link") or ""
        path = link.partition("<")[2].partition(">")[0].removeprefix(server.url)
        connection.close()
    return sizes


def test_large_files_go_in_parts(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    with running(tmp_path / "hub", multipart_above=1_000_000) as server:
        api = HfApi(endpoint=server.url, token=server.token)
        repo = api.create_repo("lab/large").repo_id
        with (tmp_path / "file").open("w+b") as file:
            file.write(content)
            file.seek(0)
            api.upload_file(path_or_fileobj=file, path_in_repo="a.bin", repo_id=repo)
        assert Path(api.hf_hub_download(repo, "a.bin", cache_dir=tmp_path / "cache")).read_bytes() == content
        assert not list(server.hub.blobs.partial.iterdir())


def test_parts_that_are_missing_or_wrong(tmp_path: Path) -> None:
    content = os.urandom(25)
    with running(tmp_path / "hub", multipart_above=10) as server:
        api = HfApi(endpoint=server.url, token=server.token)
        repo = api.create_repo("lab/large").repo_id

        def ask(method: str, url: str, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
            headers = {"Authorization": f"Bearer {server.token}"}
            connection.request(method, url.removeprefix(server.url), body, headers)
            response = connection.getresponse()
            return response.status, response.read()

        wanted = {"operation": "upload", "objects": [{"oid": hashlib.sha256(content).hexdigest(), "size": 25}]}
        _, body = ask("POST", f"/{repo}.git/info/lfs/objects/batch", json.dumps(wanted).encode())
        action = json.loads(body)["objects"][0]["actions"]["upload"]
        assert ask("PUT", action["header"]["1"], content[:10])[0] == 200
        assert ask("PUT", action["header"]["2"], content[:9])[0] == 400
        assert ask("POST", action["href"], b"{}")[0] == 400
        assert ask("PUT", action["header"]["2"], content[10:20])[0] == 200
        assert ask("PUT", action["header"]["3"], b"wrong")[0] == 200
        assert ask("POST", action["href"], b"{}")[0] == 400
        assert ask("PUT", action["header"]["3"], content[20:])[0] == 200
        assert ask("POST", action["href"], b"{}")[0] == 200


def test_a_race_for_one_name(alice: HfApi, repo: str) -> None:
    def tag(number: int) -> bool:
        try:
            alice.create_tag(repo, tag="v1")
        except HfHubHTTPError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(tag, range(4))) == 1


def test_bytes_are_on_the_disk_before_a_commit_happens(
    hub: Running, repo: str, commit: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def fsync(descriptor: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).relative_to(hub.hub.root).parts[0])
        flush(descriptor)

    def happen(*arguments: Any, **options: Any) -> Any:
        events.append("commit")
        return apply(*arguments, **options)

    flush, root = os.fsync, hub.hub.root
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("dragoman_registry.hub.publishing.apply", happen)
    content = os.urandom(99).hex()
    assert commit(repo, ("file", {"path": "a.txt", "content": content})).status == 200
    assert events == ["partial", "blobs", "commit"]  # the file, the folder that it is now in, the transaction
    assert (root / "blobs" / hashlib.sha256(content.encode()).hexdigest()[:2]).is_dir()
    with hub.hub.database.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
