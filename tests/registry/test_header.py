"""Headers of safetensors files: sound ones are read, others are refused with a sentence that names the file."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dragoman.errors import PackageError
from dragoman_registry.header import MAX_HEADER, read_header
from dragoman_registry.tensors import load_tensors, save_tensors
from tiny_zoo.tamper import entry, safetensors_bytes

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64),
    *(torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
]
TWICE = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'

REFUSED = {
    "empty": (b"", "truncated"),
    "short": (b"\x01\x02", "truncated"),
    "length-beyond-the-file": (struct.pack("<Q", 10) + b"{}", "truncated"),
    "huge-length": (struct.pack("<Q", 2**63) + b"{}", "truncated"),
    "no-json": (safetensors_bytes(b"{nonsense}"), "no sound JSON"),
    "list": (safetensors_bytes(b"[]"), "no safetensors header"),
    "pickle": (b"\x80\x02}q\x00." + bytes(64), "truncated or no safetensors"),
    "not-utf-8": (safetensors_bytes(b'{"\xff":1}'), "no sound JSON"),
    "leading-space": (safetensors_bytes(b" {}"), "no safetensors header"),
    "name-twice": (safetensors_bytes(TWICE, b"x"), "'a' stands twice"),
    "key-twice": (safetensors_bytes(b'{"a":{"dtype":"U8","dtype":"U8"}}'), "stands twice"),
    "nested": (safetensors_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested"),
    "unknown-key": (safetensors_bytes({"a": entry(0, 1) | {"code": "x"}}, b"x"), "unknown entries: 'code'"),
    "missing-key": (safetensors_bytes({"a": {"dtype": "U8", "shape": [1]}}, b"x"), "lacks 'data_offsets'"),
    "no-object": (safetensors_bytes({"a": [0, 1]}, b"x"), "must be a JSON object"),
    "unknown-dtype": (safetensors_bytes({"a": entry(0, 1, "X8")}, b"x"), "unknown type"),
    "negative-size": (safetensors_bytes({"a": entry(0, 1, shape=[-1])}, b"x"), "cannot be"),
    "size-of-text": (safetensors_bytes({"a": {**entry(0, 1), "shape": ["1"]}}, b"x"), "cannot be"),
    "size-of-truth": (safetensors_bytes({"a": {**entry(0, 1), "shape": [True]}}, b"x"), "cannot be"),
    "three-offsets": (safetensors_bytes({"a": {**entry(0, 1), "data_offsets": [0, 1, 2]}}, b"x"), "cannot be"),
    "size-does-not-fit": (safetensors_bytes({"a": entry(0, 1, shape=[2])}, b"x"), "not its size"),
    "overflow": (safetensors_bytes({"a": entry(0, 1, shape=[2**62, 2**62])}, b"x"), "not its size"),
    "rank": (safetensors_bytes({"a": entry(0, 1, shape=[1] * 1000)}, b"x"), "rank 1000"),
    "hole": (safetensors_bytes({"a": entry(0, 1), "b": entry(2, 3)}, b"xyz"), "hole or an overlap"),
    "overlap": (safetensors_bytes({"a": entry(0, 2), "b": entry(1, 3)}, b"xyz"), "hole or an overlap"),
    "alias": (safetensors_bytes({"a": entry(0, 2), "b": entry(0, 2)}, b"xy"), "hole or an overlap"),
    "data-cut": (safetensors_bytes({"a": entry(0, 4)}, b"x"), "truncated"),
    "data-too-long": (safetensors_bytes({"a": entry(0, 1)}, b"xyz"), "overlong"),
    "name-empty": (safetensors_bytes({"": entry(0, 1)}, b"x"), "unusable name"),
    "name-path": (safetensors_bytes({"../../etc/passwd": entry(0, 1)}, b"x"), "unusable name"),
    "name-absolute": (safetensors_bytes({"/etc/passwd": entry(0, 1)}, b"x"), "unusable name"),
    "name-nul": (safetensors_bytes({"a\0": entry(0, 1)}, b"x"), "unusable name"),
    "name-unicode": (safetensors_bytes({"\u202eweight": entry(0, 1)}, b"x"), "unusable name"),
    "name-long": (safetensors_bytes({"a" * 257: entry(0, 1)}, b"x"), "unusable name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    content, words = REFUSED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(PackageError) as caught:
        read_header(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_tensors({"a": torch.arange(7.0), "b": torch.ones(2, 3)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(PackageError, match=r"model\.safetensors"):
            load_tensors(path)


def test_header_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER + 1) + b"{")
        file.truncate(MAX_HEADER + 100)
    with pytest.raises(PackageError, match=r"25,000,001 bytes; at most 25,000,000"):
        read_header(path)


def test_too_many_tensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({str(n): entry(0, 0) for n in range(100_001)}))
    started = time.process_time()
    with pytest.raises(PackageError, match=r"100,001 tensors; at most 100,000"):
        read_header(path)
    assert time.process_time() - started < 10


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"model.safetensors cannot be read: No such file"):
        read_header(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_the_library_writes_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {
        "matrix": torch.arange(6).reshape(2, 3).to(dtype),
        "scalar": torch.tensor(1).to(dtype),
        "nothing": torch.zeros(0, 4).to(dtype),
    }
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata={"a": "1", "b": "2"})
    entries = read_header(path)
    assert {name: entries[name].shape for name in tensors} == {"matrix": (2, 3), "scalar": (), "nothing": (0, 4)}
    loaded = load_tensors(path)
    assert all(torch.equal(loaded[name].view(torch.uint8), tensors[name].view(torch.uint8)) for name in ("matrix",))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2], ids=str)
def test_nan_and_infinity_are_neither_written_nor_read(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {"sound": torch.ones(2), "flow.scale": torch.tensor([1.0, value]).to(dtype)}
    path = tmp_path / "model.safetensors"
    with pytest.raises(PackageError, match=r"'flow.scale'.* 1 values"):
        save_tensors(tensors, path)
    assert not path.exists()
    save_file(tensors, path)
    with pytest.raises(PackageError, match=r"'flow.scale'.*model.safetensors"):
        load_tensors(path)


def test_saved_bytes_are_reproducible(tmp_path: Path) -> None:
    tensors = {name: torch.randn(4, generator=torch.Generator().manual_seed(0)) for name in "edcba"}
    for number in range(5):
        save_tensors(tensors, tmp_path / str(number))
    assert len({(tmp_path / str(number)).read_bytes() for number in range(5)}) == 1


@pytest.mark.skipif(os.name != "posix", reason="no such permissions there")
def test_whoever_may_read_the_folder_may_read_the_weights(tmp_path: Path) -> None:
    save_tensors({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    (tmp_path / "usual").write_bytes(b"")
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_tied_and_transposed_tensors_are_saved(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    save_tensors({"a": tied, "b": tied, "c": tied.T}, tmp_path / "x.safetensors")
    loaded = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["c"], tied.T)


def test_metadata_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"__metadata__": {"format": "pt"}, "a": entry(0, 1)}, b"x"))
    assert list(read_header(path)) == ["a"]
    assert json.dumps(read_header(path)["a"].shape) == "[1]"
