"""Everything that reads bytes of strangers, on bytes of strangers: either sense is made of them, or one refusal."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sqlite3
import struct
import subprocess
import unicodedata
from pathlib import Path, PurePosixPath

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman_registry.hub.cards import CardError, front_matter, split, tags
from dragoman_registry.hub.database import SCHEMA
from dragoman_registry.hub.gitids import blob_id, commit_id
from dragoman_registry.hub.markdown import render
from dragoman_registry.hub.names import check_path, check_ref, check_repository
from dragoman_registry.hub.payload import parse
from dragoman_registry.hub.reading import object_of
from dragoman_registry.hub.refusal import RequestError
from dragoman_registry.hub.resolving import parse_range
from dragoman_registry.hub.signing import Signer
from dragoman_registry.hub.trees import File, check_files, read_files, write_files
from dragoman_registry.hub.xet_format import Chunk, decode, hash_text, read_shard, scan_xorb

settings.register_profile("hub", deadline=None, max_examples=40)
settings.load_profile("hub")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PART = st.text("abcABC.é-_1 ", min_size=1, max_size=6)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "a", ".git", "", "nul", "é", "/"])).map("/".join))
def test_accepted_paths_stay_inside(path: str) -> None:
    with contextlib.suppress(RequestError):
        assert check_path(path) == path
        parts = PurePosixPath(path).parts
        assert "/".join(parts) == path
        assert ".." not in parts
        assert (Path("/root") / path).resolve().is_relative_to("/root")
        assert unicodedata.is_normalized("NFC", path)
        assert path.isprintable()
        assert "\\" not in path


@given(st.text(max_size=30), st.text(max_size=30))
def test_accepted_names_are_plain_ascii(namespace: str, name: str) -> None:
    with contextlib.suppress(RequestError):
        assert re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", check_repository(namespace, name))
    with contextlib.suppress(RequestError):
        assert re.fullmatch(r"[A-Za-z0-9._/+-]+", check_ref(name))
        assert not name.startswith(("/", ".", "refs/"))


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_json_is_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert isinstance(object_of(body), dict)


@given(st.lists(st.tuples(st.sampled_from(["header", "file", "lfsFile", "deletedFile", "deletedFolder", "x"]), JSON)))
def test_commits_are_read_or_refused(lines: list[tuple[str, object]]) -> None:
    body = b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)
    with contextlib.suppress(RequestError):
        list(parse(io.BytesIO(body)))


@given(
    st.fixed_dictionaries(
        {"path": st.text(max_size=9)}, optional={"content": st.text(), "encoding": st.text(), "oid": JSON}
    ),
    st.sampled_from(["file", "lfsFile", "deletedFile"]),
)
def test_operations_are_read_or_refused(value: dict[str, object], key: str) -> None:
    lines = [{"key": "header", "value": {}}, {"key": key, "value": value}]
    with contextlib.suppress(RequestError):
        list(parse(io.BytesIO(b"\n".join(json.dumps(line).encode() for line in lines))))


@given(st.text("bytes=-0123456789, ", max_size=24), st.integers(0, 100))
def test_ranges_are_inside_the_file(text: str, size: int) -> None:
    with contextlib.suppress(RequestError):
        span = parse_range(text, size)
        assert span is None or 0 <= span[0] < span[1] <= size


@given(st.integers(0, 50), st.integers(0, 60), st.binary(min_size=1, max_size=50))
def test_ranges_are_those_of_the_rfc(start: int, end: int, content: bytes) -> None:
    size = len(content)
    if start <= end and start < size:
        span = parse_range(f"bytes={start}-{end}", size)
        assert span is not None
        assert content[slice(*span)] == content[start : end + 1]
        assert parse_range(f"bytes={start}-", size) == (start, size)
    elif start <= end:
        with pytest.raises(RequestError):
            parse_range(f"bytes={start}-{end}", size)
    if end > 0:
        assert parse_range(f"bytes=-{end}", size) == (max(size - end, 0), size)


@given(st.text(max_size=200) | st.text("-:[]{}&*!#\n ab'\"|>%@", max_size=60))
def test_yaml_becomes_json_or_is_refused(text: str) -> None:
    with contextlib.suppress(CardError):
        data = front_matter(f"---\n{text}\n---\n")
        json.dumps(data, allow_nan=False).encode()
        assert all(isinstance(tag, str) for tag in tags(data))


@given(st.text(max_size=300))
def test_cards_are_split_without_loss(text: str) -> None:
    yaml, body = split(text)
    assert body in text
    assert yaml in text


@given(st.text("<>\"'&`*[]()!#|-\n abjs:/.", max_size=200) | st.text(max_size=200))
def test_pages_have_only_our_own_tags(text: str) -> None:
    html = render(text, lambda path: f"/r/{path}")
    rest = re.sub(r"</?(h[1-6]|p|ul|li|table|tr|td|pre|code|strong|em)>|</a>", "", html)
    rest = re.sub(
        r'<a href="[^"<>]*" rel="nofollow noopener noreferrer">|<img src="/r/[^"<>]*" alt="[^"<>]*">', "", rest
    )
    assert "<" not in rest
    assert ">" not in rest
    assert not re.search(r'href="(?!/r/|https?://|#)', html)


@given(st.binary(max_size=400))
def test_xorbs_and_shards_are_read_or_refused(data: bytes) -> None:
    for read in (scan_xorb, lambda file: list(read_shard(file))):
        with contextlib.suppress(RequestError):
            read(io.BytesIO(data))


@given(st.binary(max_size=60), st.integers(0, 255), st.integers(1, 1 << 18))
def test_chunks_are_decoded_or_refused(packed: bytes, scheme: int, raw: int) -> None:
    with contextlib.suppress(RequestError):
        assert len(decode(packed, Chunk(0, len(packed), scheme, raw))) == raw


@given(st.binary(min_size=1, max_size=500))
def test_chunks_come_back(content: bytes) -> None:
    grouped = b"".join(content[place::4] for place in range(4))
    for scheme, packed in ((0, content), (1, lz4.frame.compress(content)), (2, lz4.frame.compress(grouped))):
        header = bytes([0]) + len(packed).to_bytes(3, "little") + bytes([scheme]) + len(content).to_bytes(3, "little")
        (chunk,) = scan_xorb(io.BytesIO(header + packed))
        assert decode(packed, chunk) == content


def test_a_chunk_that_swells_is_refused() -> None:
    packed = lz4.frame.compress(bytes(1 << 26))
    with pytest.raises(RequestError, match="does not decode"):
        decode(packed, Chunk(0, len(packed), 1, 1000))


def test_hashes_are_printed_as_xet_does() -> None:
    assert (
        hash_text(struct.pack("<4Q", 1, 2, 3, 0xABCDEF))
        == "0" * 15 + "1" + "0" * 15 + "2" + "0" * 15 + "3" + "0" * 10 + "abcdef"
    )


@given(st.binary(min_size=32, max_size=32), st.text(max_size=60), st.dictionaries(st.text(max_size=4), st.integers()))
def test_only_our_own_signatures_are_good(key: bytes, forged: str, claims: dict[str, int]) -> None:
    signer = Signer(key)
    signed = signer.sign("put", claims=claims)
    assert signer.check("put", signed)["claims"] == claims
    for text, checker in ((forged, signer), (signed + "A", signer), (signed, Signer(key[::-1] + b"x"))):
        with pytest.raises(RequestError):
            checker.check("put", text)
    with pytest.raises(RequestError):
        signer.check("part", signed)


@given(st.dictionaries(st.lists(PART, min_size=1, max_size=4).map("/".join), st.binary(max_size=20), max_size=12))
def test_trees_come_back(contents: dict[str, bytes]) -> None:
    files = {path: File(blob_id(content), "0" * 64, len(content), lfs=False) for path, content in contents.items()}
    try:
        check_files(files)
    except RequestError:
        return
    db = _memory()
    assert read_files(db, write_files(db, files)[0]) == files


@pytest.mark.skipif(shutil.which("git") is None, reason="git computes the expected ids")
def test_ids_are_those_of_git(tmp_path: Path) -> None:
    contents = {"a.txt": b"1", "a/x.txt": b"2", "a-b/c.txt": b"3", "ü.txt": b"4", "a/b/c/d": b"5"}
    for path, content in contents.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    who = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    names = {
        f"GIT_{role}_{key}": f"al{'@localhost' * (key == 'EMAIL')}"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }

    def git(*arguments: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=who | names, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "--no-gpg-sign", "-m", "title")
    files = {path: File(blob_id(content), "0" * 64, len(content), lfs=False) for path, content in contents.items()}
    db = _memory()
    tree = write_files(db, files)[1]
    assert tree == git("rev-parse", "HEAD^{tree}")
    assert commit_id(tree, None, "al", 1700000000, "title\n") == git("rev-parse", "HEAD")


def _memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.executescript(SCHEMA)
    return db
