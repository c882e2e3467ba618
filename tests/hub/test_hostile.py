"""Requests that no honest client sends: each gets one clear sentence, and changes nothing."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from huggingface_hub import HfApi

from dragoman_registry.hub.blobs import BlobWriter
from dragoman_registry.hub.serving import Running

Send = Callable[..., Any]


@pytest.fixture(scope="module")
def empty(alice: HfApi) -> str:
    """One repository that stays empty, for all the tests that must not change it."""
    return alice.create_repo("alice/empty").repo_id


PATHS = [
    *("../up", "a/../../up", "/etc/passwd", "a//b", "./a", "a/.", "..", "", "a/", "\\windows", "a\\..\\b", "C:/a"),
    *(
        ".git/config",
        "sub/.GIT/hooks/x",
        "git~1/x",
        ".git /x",
        "nul",
        "aux.txt",
        "COM1.json",
        "a./b",
        "a /b",
        "a:stream",
    ),
    *("a\0b", "a\nb", "a\r\nX-Evil: 1", "\u202egnp.exe", "a\u200bb", "zero\ufeffwidth", "a\u2028b", "e\u0301.txt"),
    *("x" * 300, "/".join("d" * 40), "y/" * 400 + "z", "\ud800"),
]


def _file(path: str, content: bytes = b"x") -> tuple[str, dict[str, str]]:
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}


@pytest.mark.parametrize("path", PATHS, ids=[ascii(path)[:24] for path in PATHS])
def test_paths_that_no_repository_has(path: str, empty: str, commit: Send, alice: HfApi, ask: Send) -> None:
    for operation in (_file(path), ("lfsFile", {"path": path, "oid": "0" * 64})):
        answer = commit(empty, operation)
        assert answer.status == 400
        assert answer.json()["error"].endswith(".")
    files = {"files": [{"path": path, "size": 1, "sample": ""}]}
    assert ask("POST", f"/api/models/{empty}/preupload/main", files, api=alice).status == 400
    assert alice.list_repo_files(empty) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("README.md", "readme.md"),
        ("A/x.txt", "a/y.txt"),
        ("straße.txt", "STRASSE.txt"),
        ("file.txt", "\ufb01le.txt"),
        ("a", "a/b"),
        ("a/b/c", "a/B"),
    ],
)
def test_paths_that_are_one_on_some_disks(first: str, second: str, repo: str, commit: Send, alice: HfApi) -> None:
    assert commit(repo, _file(first), _file(second)).status == 400
    assert commit(repo, _file(first)).status == 200
    assert commit(repo, _file(second)).status == 400
    assert alice.list_repo_files(repo) == [first]


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a/b/c", "a--b", "x.git", "-", "", "api", "ü", "a\0", "a b", "x" * 97, "%2e%2e", "a\u202eb", "<b>"],
)
def test_names_that_no_repository_has(name: str, ask: Send, alice: HfApi, hub: Running) -> None:
    admin = HfApi(endpoint=hub.url, token=hub.token)
    for body in ({"name": name, "organization": "alice"}, {"name": "model", "organization": name or "."}):
        assert ask("POST", "/api/repos/create", body, api=admin).status == 400, body


@pytest.mark.parametrize(
    "name", ["HEAD", "refs/heads/x", "refs/tags/x", "a..b", "a.lock", "/a", "a/", "a//b", "-a", "a b", "é", "0" * 40]
)
def test_names_that_no_branch_or_tag_has(name: str, empty: str, ask: Send, alice: HfApi) -> None:
    quoted = quote(name, safe="")
    assert ask("POST", f"/api/models/{empty}/branch/{quoted}", {}, api=alice).status == 400
    assert ask("POST", f"/api/models/{empty}/tag/main", {"tag": name}, api=alice).status == 400


@pytest.mark.parametrize(
    "path",
    ["../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fhub.sqlite", "/etc/passwd", "%00", "%ff%fe"],
)
def test_no_file_of_the_server_is_sent(path: str, empty: str, ask: Send, alice: HfApi) -> None:
    answer = ask("GET", f"/{empty}/resolve/main/{path}", api=alice)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    assert not answer.body.startswith(b"SQLite")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"name":' + b"[" * 100_000,
        b'{"name": 1' + b"0" * 10_000 + b"}",
        b'{"name": {"a": 1}, "organization": "alice"}',
        b'{"name": "a", "organization": ["alice"]}',
        b'{"name": "a", "organization": "alice", "visibility": 3}',
        b'{"name": "a", "organization": "alice", "type": "kernel"}',
        b'{"name": "\\ud800", "organization": "alice"}',
    ],
)
def test_json_that_makes_no_sense(body: bytes, ask: Send, alice: HfApi) -> None:
    assert ask("POST", "/api/repos/create", body, api=alice).status == 400


def test_bodies_are_limited(ask: Send, alice: HfApi, repo: str, commit: Send) -> None:
    assert ask("POST", "/api/repos/create", b" " * (5 << 20), api=alice).status == 413
    assert commit(repo, _file("a.txt", bytes(11 << 20))).status == 413
    declared = {"Content-Length": str(1 << 50)}
    assert ask("POST", f"/api/models/{repo}/commit/main", b"", api=alice, headers=declared).status == 413


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [("file", {"path": "a"})],
        [("header", {}), ("header", {})],
        [("header", {}), ("unknown", {})],
        [("header", {}), ("file", "text")],
        [("header", {}), ("file", {"path": "a", "content": "!", "encoding": "base64"})],
        [("header", {}), ("lfsFile", {"path": "a", "oid": "0" * 63})],
        [("header", {}), ("lfsFile", {"path": "a", "oid": "../../../etc/passwd"})],
        [("header", {}), ("lfsFile", {"path": "a", "algo": "md5", "oid": "0" * 64})],
        [("header", {"parentCommit": "../x"})],
        [("header", {}), ("deletedFile", {"path": 7})],
    ],
)
def test_commits_that_make_no_sense(lines: list[Any], empty: str, ask: Send, alice: HfApi) -> None:
    body = b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)
    assert ask("POST", f"/api/models/{empty}/commit/main", body, api=alice).status == 400
    assert alice.list_repo_files(empty) == []


def _upload_address(ask: Send, alice: HfApi, repo: str, content: bytes) -> str:
    asked = {"operation": "upload", "objects": [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}]}
    (entry,) = ask("POST", f"/{repo}.git/info/lfs/objects/batch", asked, api=alice).json()["objects"]
    href: str = entry["actions"]["upload"]["href"]
    return href


def _unfinished(hub: Running) -> list[str]:
    return [path.name for path in hub.hub.blobs.partial.iterdir()]


def _soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def test_wrong_bytes_are_not_kept(hub: Running, ask: Send, alice: HfApi, repo: str) -> None:
    href = _upload_address(ask, alice, repo, b"right")
    for content, status in ((b"wrong", 400), (b"righ", 400), (b"right and more", 413), (b"", 400)):
        assert ask("PUT", href, content).status == status
    assert hub.hub.blobs.size(hashlib.sha256(b"right").hexdigest()) is None
    assert hub.hub.blobs.size(hashlib.sha256(b"wrong").hexdigest()) is None
    assert not _unfinished(hub)


def test_a_cut_connection_leaves_nothing(hub: Running, ask: Send, alice: HfApi, repo: str) -> None:
    content = bytes(5 << 20)
    href = _upload_address(ask, alice, repo, content)
    address = hub.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        path = href.removeprefix(hub.url)
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        connection.sendall(content[: 3 << 20])
        assert _soon(lambda: bool(_unfinished(hub)))
    assert _soon(lambda: not _unfinished(hub))
    assert hub.hub.blobs.size(hashlib.sha256(content).hexdigest()) is None


def test_a_full_disk(
    hub: Running, ask: Send, alice: HfApi, repo: str, commit: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    href = _upload_address(ask, alice, repo, b"right")

    def full(self: BlobWriter, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(BlobWriter, "write", full)
        for answer in (ask("PUT", href, b"right"), commit(repo, _file("a.txt"))):
            assert answer.status == 507
            assert "disk of the server is full" in answer.json()["error"]
    assert not _unfinished(hub)
    assert alice.list_repo_files(repo) == []
    assert ask("PUT", href, b"right").status == 200
    assert commit(repo, _file("a.txt")).status == 200


CARD = """---
license: mit
---
# <script>alert(1)</script>
<img src=x onerror=alert(1)> **bold** `<b>code</b>`
[a](javascript:alert(1)) [b](https://example.org/?q="onclick=) [c](data:text/html,x) [d](//evil.example)
![e](http://evil.example/pixel.png) ![f](pictures/grid.png) ![g](../../x.png) [h](config.json"onload="x)
```
</code></pre><script>alert(2)</script>
```
| <i>cell</i> | 2 |
"""


def test_nothing_in_a_card_is_executed(repo: str, commit: Send, ask: Send) -> None:
    assert commit(repo, _file("README.md", CARD.encode()), _file("evil.html", b"<script>")).status == 200
    page = ask("GET", f"/{repo}")
    assert page.status == 200
    html = page.body.decode()
    for evil in ("<script", "<img src=x", "<i>", "javascript:", "data:", "evil.example/pixel", "license: mit"):
        assert evil not in html.replace("&lt;script", "").replace("&lt;img", "").replace("&lt;i&gt;", "")
    assert "<strong>bold</strong>" in html
    assert "resolve" in html
    assert "pictures/grid.png" in html
    assert "default-src 'none'" in page.headers["content-security-policy"]
    file = ask("GET", f"/{repo}/resolve/main/evil.html")
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["x-content-type-options"] == "nosniff"


def test_absurd_card_metadata_is_only_data(repo: str, commit: Send, ask: Send, alice: HfApi) -> None:
    card = '---\ntags: [1, "<b>", 2020-01-01]\nlicense: {a: .nan}\nn: 1e999\nbig: 0x' + "f" * 99 + "\n---\n"
    assert commit(repo, _file("README.md", card.encode())).status == 200
    assert ask("GET", f"/api/models/{repo}").json()["tags"] == ["<b>", "2020-01-01"]
    assert repo in {model.id for model in alice.list_models(filter="<b>", cardData=True)}


def test_the_host_header_is_not_believed(repo: str, ask: Send, alice: HfApi, hub: Running) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    asked = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}
    answers = [
        ask("POST", f"/{repo}.git/info/lfs/objects/batch", asked, api=alice, headers=headers),
        ask("GET", f"/api/models/{repo}/xet-write-token/main", api=alice, headers=headers),
        ask("GET", "/api/models?limit=1", api=alice, headers=headers),
        ask("GET", f"/{repo}/", api=alice, headers=headers),
    ]
    assert not any("evil.example" in f"{answer.headers}{answer.body!r}" for answer in answers)


@pytest.mark.parametrize("cursor", ["x", "-1", "1,x", "nan,1", "inf,1", "1" * 100, "%00", "1,1' OR 1=1"])
def test_cursors_of_others(cursor: str, ask: Send, empty: str) -> None:
    assert ask("GET", f"/api/models?cursor={quote(cursor)}").status in (200, 400)
    assert ask("GET", f"/api/models/{empty}/tree/main?cursor={quote(cursor)}").status == 400


def test_searches_are_text(ask: Send) -> None:
    for text in ("' OR 1=1 --", "%", "_", '"', "\\", "\0", "é" * 10_000):
        assert ask("GET", f"/api/models?search={quote(text)}").status == 200
        assert ask("GET", f"/api/models?filter={quote(text)}&author={quote(text)}").json() == []
