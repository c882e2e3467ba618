"""The xet upload half: chunks that are known are not sent again, and those of others cannot be referred to."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
import pytest
from huggingface_hub import HfApi

from dragoman_registry.hub.serving import Running
from dragoman_registry.hub.xet_format import Chunk, scan_xorb

Send = Callable[..., Any]


def packed(name: str) -> bytes:
    """The bytes of a hash that xet prints as ``name``."""
    return struct.pack("<4Q", *(int(name[place : place + 16], 16) for place in range(0, 64, 16)))


def xorb(*chunks: bytes) -> bytes:
    parts = []
    for chunk in chunks:
        data = lz4.frame.compress(chunk)
        parts += [b"\0", len(data).to_bytes(3, "little"), b"\1", len(chunk).to_bytes(3, "little"), data]
    return b"".join(parts)


def shard(sha256: str, *terms: tuple[str, int, int, int], flags: int = 1 << 30) -> bytes:
    """A shard of one file; a term is a xorb, its first and last chunk, and its bytes."""
    rows = [packed(name) + struct.pack("<4I", 0, size, start, end) for name, start, end, size in terms]
    head = bytes(32) + struct.pack("<IIQ", flags, len(terms), 0)
    return b"".join([bytes(48), head, *rows, packed(sha256) + bytes(16), b"\xff" * 32 + bytes(16)])


class Cas:
    """Where a user sends chunks of a repository."""

    def __init__(self, ask: Send, api: HfApi, repo: str) -> None:
        facts = ask("GET", f"/api/models/{repo}/xet-write-token/main", api=api).json()
        self.url: str = facts["casUrl"]
        self.ask, self.headers = ask, {"Authorization": f"Bearer {facts['accessToken']}"}

    def xorb(self, name: str, content: bytes) -> int:
        return int(self.ask("POST", f"{self.url}/v1/xorbs/default/{name}", content, headers=self.headers).status)

    def shard(self, content: bytes) -> int:
        return int(self.ask("POST", f"{self.url}/v1/shards", content, headers=self.headers).status)


@dataclass(frozen=True)
class Sample:
    """Two chunks, the name of their xorb, the sha256 of their file, and the term that makes it up."""

    a: bytes
    b: bytes
    name: str
    both: str
    term: tuple[str, int, int, int]


@pytest.fixture
def sample() -> Sample:
    a, b, name = b"first chunk" * 100, os.urandom(8) * 100, os.urandom(32).hex()
    return Sample(a, b, name, hashlib.sha256(a + b).hexdigest(), (name, 0, 2, len(a + b)))


def test_chunks_of_others_cannot_be_referred_to(
    sample: Sample, ask: Send, alice: HfApi, bob: HfApi, repo: str, commit: Send
) -> None:
    assert Cas(ask, alice, repo).xorb(sample.name, xorb(sample.a, sample.b)) == 200
    assert Cas(ask, alice, repo).shard(shard(sample.both, sample.term)) == 200
    mine = bob.create_repo(f"bob/mine{os.urandom(4).hex()}").repo_id
    thief = Cas(ask, bob, mine)
    assert thief.shard(shard(sample.both, sample.term)) == 400
    assert commit(mine, ("lfsFile", {"path": "a.bin", "oid": sample.both}), api=bob).status == 400
    thief.url = Cas(ask, alice, repo).url
    assert thief.xorb(sample.name, xorb(sample.a)) == 403
    assert thief.shard(shard(sample.both, sample.term)) == 403
    thief.headers = {"Authorization": f"Bearer {bob.token}"}
    assert thief.xorb(sample.name, xorb(sample.a)) == 403
    thief.headers = {}
    assert thief.xorb(sample.name, xorb(sample.a)) == 401
    assert ask("GET", f"/api/models/{repo}/xet-write-token/main", api=bob).status == 403


def test_chunks_become_a_file(
    sample: Sample, ask: Send, alice: HfApi, repo: str, commit: Send, tmp_path: Path, hub: Running
) -> None:
    cas = Cas(ask, alice, repo)
    assert cas.xorb(sample.name, xorb(sample.a, sample.b)) == 200
    assert cas.shard(shard(sample.both, sample.term)) == 200
    assert not list(hub.hub.xorbs.glob(f"*{sample.name}"))  # all its chunks are in the file
    assert commit(repo, ("lfsFile", {"path": "a.bin", "oid": sample.both})).status == 200
    assert Path(alice.hf_hub_download(repo, "a.bin", cache_dir=tmp_path)).read_bytes() == sample.a + sample.b
    again = hashlib.sha256(sample.b + sample.a + sample.b).hexdigest()  # from the index, without the xorb
    assert cas.shard(shard(again, (sample.name, 1, 2, len(sample.b)), sample.term)) == 200
    assert commit(repo, ("lfsFile", {"path": "b.bin", "oid": again})).status == 200


def test_shards_that_lie(sample: Sample, ask: Send, alice: HfApi, repo: str, hub: Running) -> None:
    cas = Cas(ask, alice, repo)
    assert cas.xorb(sample.name, xorb(sample.a, sample.b)) == 200
    good = shard(sample.both, sample.term)
    lies = {
        "another hash": shard("0" * 64, sample.term),
        "another order": shard(sample.both, (sample.name, 1, 2, len(sample.b)), (sample.name, 0, 1, len(sample.a))),
        "another length": shard(sample.both, (sample.name, 0, 2, 1)),
        "no such chunk": shard(sample.both, (sample.name, 0, 3, len(sample.a + sample.b))),
        "no chunks": shard(sample.both, (sample.name, 1, 1, 0), sample.term),
        "no such xorb": shard(sample.both, ("cd" * 32, 0, 2, len(sample.a + sample.b))),
        "no sha256": shard(sample.both, sample.term, flags=0),
        "cut short": good[:-60],
        "empty": b"",
    }
    assert {what: cas.shard(content) for what, content in lies.items()} == dict.fromkeys(lies, 400)
    assert hub.hub.blobs.size("0" * 64) is None
    assert cas.shard(good) == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\1" + bytes(7), b"\0\xff\xff\xff\0\1\0\0", b"\0\1\0\0\0\0\0\0x", b"\0\1\0\0\0\xff\xff\xffx"],
)
def test_xorbs_that_are_none(content: bytes, ask: Send, alice: HfApi, repo: str, hub: Running) -> None:
    cas = Cas(ask, alice, repo)
    assert cas.xorb("ef" * 32, content) == 400
    assert cas.xorb("..%2f..%2fx", xorb(b"x")) == 400
    assert not list(hub.hub.xorbs.glob("*" + "ef" * 32))


def test_a_change_sends_only_what_changed(
    alice: HfApi, tmp_path: Path, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def counted(file: BinaryIO) -> list[Chunk]:
        sent.append(file.seek(0, 2))
        return scan_xorb(file)

    monkeypatch.setattr("dragoman_registry.hub.xet.scan_xorb", counted)
    content = bytearray(os.urandom(6_000_000))
    alice.upload_file(path_or_fileobj=bytes(content), path_in_repo="a.bin", repo_id=repo)
    assert sum(sent) > 6_000_000
    sent.clear()
    content[3_000_000:3_000_010] = b"0123456789"
    alice.upload_file(path_or_fileobj=bytes(content), path_in_repo="a.bin", repo_id=repo)
    assert 0 < sum(sent) < 1_000_000
    assert Path(alice.hf_hub_download(repo, "a.bin", cache_dir=tmp_path)).read_bytes() == content
