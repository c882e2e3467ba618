"""A server in a process of its own: killed while writers are at work, again and again, and watched for its memory."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from dragoman_registry.hub.history import BRANCHES, log, resolve, start
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.repositories import create, find
from dragoman_registry.hub.tokens import Caller, create_token
from dragoman_registry.hub.trees import read_files

ADMIN = Caller("root", "admin")
REPO = "root/model"
SERVE = "import sys; from pathlib import Path; from dragoman_registry.hub.serving import serve;"


class Server:
    """The process and where it listens."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-c", f"{SERVE} serve(Path(sys.argv[1]), '127.0.0.1', 0)", str(root)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().rpartition("http://")[2].strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Writer(threading.Thread):
    """Sends small files and large ones until the server is gone; remembers what was acknowledged."""

    address: str
    token: str
    seed: int
    #: Commit id to path and content's sha256.
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: What the server said although it had no reason to.
    refused: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        draw = random.Random(self.seed)
        with suppress(OSError, http.client.HTTPException):
            while True:
                self.commit(draw.randbytes(draw.choice((20, 3000))), large=False)
                self.commit(draw.randbytes(draw.choice((50_000, 3_000_000))), large=True)

    def commit(self, content: bytes, *, large: bool) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        path = f"{self.seed}/{sha256[:12]}.bin"
        if large:
            self.upload(sha256, content)
            value: dict[str, Any] = {"path": path, "oid": sha256, "algo": "sha256"}
        else:
            value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        lines = [{"key": "header", "value": {"summary": path}}, {"key": "lfsFile" if large else "file", "value": value}]
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        answer = json.loads(self.ask("POST", f"/api/models/{REPO}/commit/main", body))
        if "commitOid" in answer:
            self.acknowledged[answer["commitOid"]] = path, sha256

    def upload(self, sha256: str, content: bytes) -> None:
        asked = {"operation": "upload", "objects": [{"oid": sha256, "size": len(content)}]}
        answer = json.loads(self.ask("POST", f"/{REPO}.git/info/lfs/objects/batch", json.dumps(asked).encode()))
        href = answer["objects"][0]["actions"]["upload"]["href"]
        self.ask("PUT", "/" + href.split("/", 3)[3], content)

    def ask(self, method: str, path: str, body: bytes) -> bytes:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            self.refused.append(content)
        return content


def kill_under_load(root: Path, token: str, seed: int) -> dict[str, tuple[str, str]]:
    """Start a server, let three writers work, kill it at a random moment; what it acknowledged.

    The moment is one after a random number of commits, so that a slow machine does as much work between kills.
    """
    server, draw = Server(root), random.Random(seed)
    writers = [Writer(server.address, token, seed * 10 + number) for number in range(3)]
    try:
        for writer in writers:
            writer.start()
        _wait_for_commits(writers, draw.randrange(4))
        time.sleep(draw.uniform(0, 0.2))
    finally:
        server.kill()
    for writer in writers:
        writer.join(timeout=60)
        assert not writer.refused
    return {oid: what for writer in writers for oid, what in writer.acknowledged.items()}


def _wait_for_commits(writers: list[Writer], count: int) -> None:
    until = time.monotonic() + 60
    while sum(len(writer.acknowledged) for writer in writers) < count and time.monotonic() < until:
        time.sleep(0.002)


def check(root: Path, acknowledged: dict[str, tuple[str, str]], sound: set[str]) -> None:
    """Every acknowledged commit is in the history, every file of every commit is whole, and so is every blob.

    Args:
        root: of a Hub that no process serves.
        acknowledged: commit id to path and sha256.
        sound: hashes of blobs that were read before; filled.
    """
    hub = Hub(root)
    with hub.database.reading() as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        repository = find(db, ADMIN, "model", *REPO.split("/"))
        commits = {commit.oid: commit for commit in log(db, repository, resolve(db, repository, BRANCHES + "main"))}
        assert acknowledged.keys() <= commits.keys()
        head = read_files(db, next(iter(commits.values())).tree)
    for path in hub.blobs.folder.glob("??/*"):
        if path.name not in sound:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            sound.add(path.name)
    assert {file.sha256 for file in head.values()} <= sound
    assert all(head[path].sha256 == sha256 for path, sha256 in acknowledged.values())  # files are only ever added
    hub.close()


def survive(root: Path, kills: int) -> None:
    hub = Hub(root)
    with hub.database.writing() as db:
        start(db, ADMIN, create(db, ADMIN, "model", *REPO.split("/"), private=False))
        token = create_token(db, "root")
    hub.close()
    acknowledged: dict[str, tuple[str, str]] = {}
    sound: set[str] = set()
    for seed in range(kills):
        acknowledged |= kill_under_load(root, token, seed)
        check(root, acknowledged, sound)
    assert len(acknowledged) > kills / 2  # the writers did reach the server
    Server(root).kill()
    assert not os.listdir(root / "partial")  # swept at the start


def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    hub = Hub(root)
    with hub.database.writing() as db:
        token = create_token(db, "root")
    hub.close()
    server = Server(root)
    try:
        api = HfApi(endpoint=f"http://{server.address}", token=token)
        api.create_repo(REPO)
        peaks = [_transfer(api, server, tmp_path / f"{size}.bin", size) for size in (1_000_000, 80_000_000)]
    finally:
        server.kill()
    assert peaks[1] < 100_000  # KB
    assert peaks[1] - peaks[0] < 30_000


def _transfer(api: HfApi, server: Server, path: Path, size: int) -> int:
    """Send and fetch a file by xet and by LFS; the server's largest memory so far, in KB."""
    path.write_bytes(random.Random(size).randbytes(size))
    api.upload_file(path_or_fileobj=path, path_in_repo=path.name, repo_id=REPO)
    with path.open("r+b") as file:
        file.write(b"another file")
        file.seek(0)
        api.upload_file(path_or_fileobj=file, path_in_repo=f"lfs-{path.name}", repo_id=REPO)
    got = api.hf_hub_download(REPO, f"lfs-{path.name}", cache_dir=path.parent / "cache")
    assert Path(got).stat().st_size == size
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_no_commit_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    survive(tmp_path / "hub", kills=12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_commit_is_lost_in_hundreds_of_kills(tmp_path: Path) -> None:
    survive(tmp_path / "hub", kills=300)
