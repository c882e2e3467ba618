"""Whatever bytes stand where a manifest, a lock or a header should: one sentence, or a sound value; nothing else."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.errors import PackageError
from dragoman.ports import Port
from dragoman_registry.addresses import parse_hub_address
from dragoman_registry.card import render_card
from dragoman_registry.header import parse_header
from dragoman_registry.manifest import Manifest
from dragoman_registry.parts import Component, TranslatorPart
from dragoman_registry.patterns import is_safe_path

DIGEST = "tensors-sha256:" + "0" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def sound() -> dict[str, Any]:
    manifest = Manifest(
        kind="fusion",
        dragoman="0.1.0",
        digest=DIGEST,
        requires=("dragoman-cinn>=0.1",),
        components={
            role: Component(role, "dragoman-x", f"ns/{role}", "a" * 40, "", "mit", DIGEST)
            for role in ("source", "target")
        },
        translator=TranslatorPart("cinn", "dragoman-cinn", {"depth": 3}),
        ports={role: Port("p", "vector", (3,)) for role in ("source", "target")},
        files={},
    )
    data: dict[str, Any] = json.loads(manifest.to_bytes())
    return data


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, child in children for found in paths_in(child, (*path, key)))]


PATHS = paths_in(sound())[1:]


def read_or_refuse(raw: bytes) -> Manifest | None:
    try:
        return Manifest.from_bytes(raw, "config.json")
    except PackageError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 6000
    return None


@QUICK
@given(st.binary(max_size=200))
def test_bytes(raw: bytes) -> None:
    assert read_or_refuse(raw) is None


@QUICK
@given(JSON)
def test_any_json(value: Any) -> None:
    assert read_or_refuse(json.dumps(value).encode()) is None


@QUICK
@given(st.sampled_from(PATHS), JSON)
def test_one_entry_replaced(path: tuple[Any, ...], value: Any) -> None:
    """What is accepted is written and read again as the same, names no file outside, and gives a card."""
    data = sound()
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    manifest = read_or_refuse(json.dumps(data).encode())
    if manifest is not None:
        assert Manifest.from_bytes(manifest.to_bytes(), "again") == manifest
        assert all(is_safe_path(name) for name in manifest.files)
        render_card(manifest, "ns/x")


@QUICK
@given(st.dictionaries(st.sampled_from(["prompts", "seed", "features", "n"]) | st.text(max_size=30), JSON, max_size=5))
def test_any_facts_make_a_card_whose_front_matter_the_hub_can_read(facts: dict[str, Any]) -> None:
    manifest = Manifest.from_bytes(json.dumps(sound() | {"facts": {"figures": facts, **facts}}).encode(), "x")
    card = render_card(manifest, "ns/x")
    matter = vars(ModelCard(card, ignore_metadata_errors=False).data)
    assert (matter["library_name"], matter["license"]) == ("dragoman", "mit")


@QUICK
@given(st.text(max_size=60))
def test_any_path(path: str) -> None:
    if is_safe_path(path):
        assert path.isascii()
        folder = Path("/folder")
        assert (folder / path).resolve().is_relative_to(folder)


@QUICK
@given(st.text(max_size=60))
def test_any_address(address: str) -> None:
    try:
        parsed = parse_hub_address(address)
    except PackageError:
        return
    assert parsed.repo.count("/") == 1
    assert ".." not in str(parsed)
    assert str(parsed).isascii()


@QUICK
@given(
    JSON | st.dictionaries(st.text(max_size=8), st.fixed_dictionaries({"dtype": st.text(max_size=4), "shape": JSON}))
)
def test_any_header(header: Any) -> None:
    raw = json.dumps(header).encode()
    file = struct.pack("<Q", len(raw)) + raw
    try:
        tensors = parse_header(lambda start, end: file[start:end], len(file), "x")
    except PackageError as error:
        said, tensors = str(error), {}
    else:
        said = ""
    assert "\n" not in said
    assert all(entry.end <= len(file) for entry in tensors.values())


@pytest.mark.parametrize("length", [0, 1, 7, 8, 2**31, 2**64 - 1])
def test_any_length_of_a_header(length: int) -> None:
    file = struct.pack("<Q", length)
    with pytest.raises(PackageError):
        parse_header(lambda start, end: file[start:end], len(file), "x")
