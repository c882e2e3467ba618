"""The content digest depends on names, types, shapes and values, and on nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dragoman.errors import PackageError
from dragoman_registry import digest
from dragoman_registry.digest import digest_of_file, digest_of_folder, digest_of_tensors, sha256_of_file

TENSORS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, -2]), "c": torch.tensor(True)}


def test_definition() -> None:
    sha = hashlib.sha256()
    for name, dtype, tensor in (("a", "I64", TENSORS["a"]), ("b.weight", "F32", TENSORS["b.weight"])):
        sha.update(json.dumps([name, dtype, list(tensor.shape)], separators=(",", ":")).encode() + b"\n")
        sha.update(tensor.numpy().tobytes())
    sha.update(b'["c","BOOL",[]]\n\x01')
    assert digest_of_tensors(TENSORS) == f"tensors-sha256:{sha.hexdigest()}"


def test_file_and_memory_agree_whatever_the_metadata(tmp_path: Path) -> None:
    for number in range(6):
        save_file(TENSORS, tmp_path / f"{number}", metadata={key: key for key in "abcd"[:number]})
        assert digest_of_file(tmp_path / f"{number}") == digest_of_tensors(TENSORS)


def test_order_strides_and_device_of_origin_do_not_matter() -> None:
    transposed = torch.arange(6.0).reshape(3, 2).T.contiguous().T.T
    assert digest_of_tensors({"x": transposed}) == digest_of_tensors({"x": transposed.clone().contiguous()})
    assert digest_of_tensors(dict(reversed(TENSORS.items()))) == digest_of_tensors(TENSORS)


@pytest.mark.parametrize(
    "other",
    [
        {**TENSORS, "a": torch.tensor([1, -3])},
        {**TENSORS, "a": torch.tensor([1, -2], dtype=torch.int32)},
        {**TENSORS, "a": torch.tensor([[1, -2]])},
        {**{key: value for key, value in TENSORS.items() if key != "a"}, "A": TENSORS["a"]},
        {key: value for key, value in TENSORS.items() if key != "c"},
        {**TENSORS, "d": torch.zeros(0)},
        {**TENSORS, "b.weight": -TENSORS["b.weight"] * 0 + TENSORS["b.weight"] * torch.tensor([1, 1, -1])},
    ],
    ids=["value", "dtype", "shape", "name", "missing", "empty-tensor", "sign"],
)
def test_any_difference_shows(other: dict[str, Tensor]) -> None:
    assert digest_of_tensors(other) != digest_of_tensors(TENSORS)


def test_sharding_does_not_matter(tmp_path: Path) -> None:
    save_file({"a": TENSORS["a"], "c": TENSORS["c"]}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b.weight": TENSORS["b.weight"]}, tmp_path / "model-00002-of-00002.safetensors")
    assert digest_of_folder(tmp_path) == digest_of_tensors(TENSORS)


def test_variants_beside_the_weights_count(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    before = digest_of_folder(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.fp16.safetensors")
    assert digest_of_folder(tmp_path) != before


def test_pickles_are_hashed_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
    expected = hashlib.sha256(b"not even a pickle").hexdigest()
    assert digest_of_folder(tmp_path) == f"file-sha256:{expected}"
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert digest_of_folder(tmp_path) == digest_of_tensors(TENSORS)


def test_folder_without_weights_has_the_digest_of_nothing(tmp_path: Path) -> None:
    assert digest_of_folder(tmp_path) == digest_of_tensors({})


def test_damaged_file_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"12345678901234567890")
    with pytest.raises(PackageError, match=r"model.safetensors"):
        digest_of_folder(tmp_path)


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_CHUNK", 7)
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert digest_of_file(tmp_path / "model.safetensors") == digest_of_tensors(TENSORS)
    content = (tmp_path / "model.safetensors").read_bytes()
    assert sha256_of_file(tmp_path / "model.safetensors") == hashlib.sha256(content).hexdigest()
