"""The manifest: what is written is read, and everything else is refused with a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dragoman_registry
from dragoman.errors import PackageError
from dragoman.knobs import Knob
from dragoman.ports import MODALITIES, Port
from dragoman_registry.manifest import KINDS, SCHEMA, Manifest, read_manifest
from dragoman_registry.parts import Component, FileEntry, TranslatorPart
from dragoman_registry.patterns import is_hub_id, is_safe_path

DIGEST = "tensors-sha256:" + "0" * 64
MANIFEST = Manifest(
    kind="fusion",
    dragoman="0.1.0",
    digest=DIGEST,
    requires=("dragoman-bert>=0.1.0", "dragoman-cinn>=0.2rc1"),
    components={
        "source": Component("bert", "dragoman-bert", "ns/bert", "a" * 40, "", "mit", DIGEST, {"hidden_size": 3}),
        "target": Component("biggan", "dragoman-biggan", "/models/biggan", "", "sub/folder", "", DIGEST),
        "ranker": Component("brightness", "dragoman-critics"),
    },
    translator=TranslatorPart("cinn", "dragoman-cinn", {"depth": 3}),
    knobs=(
        Knob("temperature", 1.0, 0, summary="scale of the noise"),
        Knob("steps", 20, 1, 1000, kind="whole", staged=True),
        Knob("beta", 4.0, 0.5, 512, scale="log"),
        Knob("sampler", "dpm++", kind="choice", choices=("dpm++", "ddim")),
        Knob("negative", kind="text"),
    ),
    ports={
        "source": Port("pooled", "vector", (3,), gives=True, summary="mean"),
        "target": Port("z", "tokens", ("T", 5), takes=True),
    },
    recipe={"steps": 10, "seed": 0, "text": "zażółć"},
    facts={"figures": {"fid": 1.5}},
    files={"model.safetensors": FileEntry("1" * 64, 10), "test/inputs.json": FileEntry("2" * 64, 0)},
)


def read(data: Any) -> Manifest:
    return Manifest.from_bytes(json.dumps(data).encode(), "config.json of x")


def data() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(MANIFEST.to_bytes())
    return made


def put(*path: str | int) -> Callable[[dict[str, Any], Any], None]:
    def edit(manifest: Any, value: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return edit


def test_round_trip() -> None:
    assert Manifest.from_bytes(MANIFEST.to_bytes(), "x") == MANIFEST


def test_bytes_are_deterministic_and_readable() -> None:
    raw = MANIFEST.to_bytes()
    assert raw == Manifest.from_bytes(raw, "x").to_bytes()
    assert raw.endswith(b"}\n")
    assert list(json.loads(raw)) == sorted(json.loads(raw))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("unexpected",), 1, "unknown entries: 'unexpected'"),
        (("components", "source", "code"), "x.py", "components.source has unknown entries: 'code'"),
        (("translator", "auto_map"), {}, "translator has unknown entries"),
        (("ports", "source", "hook"), "x", "ports.source has unknown entries"),
        (("files", "model.safetensors", "url"), "x", "unknown entries: 'url'"),
        (("schema",), "1", "'schema' cannot be text"),
        (("schema",), True, "'schema' must be a whole number"),
        (("schema",), 0, "'schema' must be a whole number"),
        (("kind",), "virus", "the kinds are fusion"),
        (("kind",), 3, "'kind' cannot be a number"),
        (("dragoman",), "0.1; rm", "'dragoman' cannot be"),
        (("digest",), "sha256:0", "'digest' cannot be"),
        (("requires",), "dragoman-cinn", "'requires' cannot be text"),
        (("requires",), [1], "'requires' must be a list"),
        (("requires",), ["x"] * 101, "at most 100 texts"),
        (("requires",), ["evil; rm -rf /"], "'requires' cannot be"),
        (("requires",), ["evil @ https://evil.example/x.whl"], "'requires' cannot be"),
        (("requires",), ["--index-url=evil>=1"], "'requires' cannot be"),
        (("requires",), ["evil>=1\nrm"], "control characters"),
        (("components",), [], "'components' cannot be a list"),
        (("components", "source"), None, "must be a JSON object, not null"),
        (("components", "judge"), {"name": "a", "plugin": "b"}, "unknown roles ['judge']"),
        (("components", "source", "name"), "../x", "'name' cannot be"),
        (("components", "source", "plugin"), "", "'plugin' cannot be"),
        (("components", "source", "repo"), "a\x1b[31m", "control characters"),
        (("components", "source", "repo"), "a" * 5000, "too long"),
        (("components", "source", "revision"), "main", "'revision' cannot be"),
        (("components", "source", "digest"), "", "without its digest"),
        (("components", "target", "subfolder"), "../..", "'subfolder' cannot be"),
        (("components", "target", "subfolder"), "/etc", "'subfolder' cannot be"),
        (("components", "source", "licence"), "<script>", "'licence' cannot be"),
        (("components", "source", "config"), "x", "'config' cannot be text"),
        (("translator", "config"), None, "'config' cannot be null"),
        (("translator",), [], "'translator' cannot be a list"),
        (("ports", "source", "modality"), "smell", "the modalities are"),
        (("ports", "source", "shape"), [1.5], "whole numbers and names"),
        (("ports", "source", "shape"), [True], "whole numbers and names"),
        (("ports", "source", "gives"), 1, "'gives' cannot be a number"),
        (("ports", "middle"), {}, "lacks 'name'"),
        (("files", "model.safetensors", "size"), -1, "'size' must be a whole number"),
        (("files", "model.safetensors", "size"), 1.5, "'size' cannot be a number"),
        (("files", "model.safetensors", "sha256"), "0" * 63, "'sha256' cannot be"),
        (("files", "Test/inputs.json"), {"sha256": "0" * 64, "size": 1}, "differ in case only"),
        (("files",), {f"{n}": {"sha256": "0" * 64, "size": 1} for n in range(1001)}, "at most 1,000"),
        (("recipe",), [], "'recipe' cannot be a list"),
        (("knobs",), {}, "'knobs' cannot be an object"),
        (("knobs",), [{}] * 101, "lists 101 knobs"),
        (("knobs", 0), 1, "knobs[0] must be a JSON object"),
        (("knobs", 0, "callback"), "os.system", "knobs[0] has unknown entries: 'callback'"),
        (("knobs", 0, "name"), "a b", "'name' cannot be"),
        (("knobs", 0, "name"), "beta", "two knobs of one name"),
        (("knobs", 0, "kind"), "colour", "does not describe a knob"),
        (("knobs", 0, "default"), -1, "temperature takes at least 0, so it cannot be -1"),
        (("knobs", 0, "default"), None, "so it cannot be None"),
        (("knobs", 0, "low"), "0", "'low' must be a number"),
        (("knobs", 0, "low"), True, "'low' must be a number"),
        (("knobs", 0, "summary"), "a\x1b[31m", "control characters"),
        (("knobs", 1, "high"), 0, "does not ascend"),
        (("knobs", 1, "default"), 1.5, "steps takes a whole number"),
        (("knobs", 1, "staged"), 1, "'staged' cannot be a number"),
        (("knobs", 3, "default"), "plms", "sampler takes dpm++ or ddim"),
        (("knobs", 3, "choices"), ["<script>"], "'choices' cannot be"),
        (("knobs", 4, "default"), 3, "is no text"),
    ],
)
def test_one_wrong_entry(path: tuple[str, ...], value: Any, words: str) -> None:
    manifest = data()
    put(*path)(manifest, value)
    with pytest.raises(PackageError) as caught:
        read(manifest)
    assert words in str(caught.value)
    assert "config.json of x" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_knobs_are_optional_and_stay_as_they_were_written() -> None:
    manifest = data()
    assert read(manifest).to_bytes() == MANIFEST.to_bytes()
    del manifest["knobs"]
    assert read(manifest).knobs == ()
    assert b"knobs" not in read(manifest).to_bytes()


@pytest.mark.parametrize("key", sorted(set(json.loads(MANIFEST.to_bytes())) - {"knobs"}))
def test_no_entry_may_be_missing(key: str) -> None:
    manifest = data()
    del manifest[key]
    with pytest.raises(PackageError, match=key):
        read(manifest)


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("table", ["components", "ports"])
def test_a_fusion_has_both_ends(table: str, role: str) -> None:
    manifest = data()
    del manifest[table][role]
    with pytest.raises(PackageError, match=f"describes a fusion without {role}"):
        read(manifest)


def test_newer_schema_says_what_to_do_before_anything_else() -> None:
    with pytest.raises(PackageError, match=r"newer than this dragoman reads.*pip install --upgrade dragoman"):
        read({"schema": SCHEMA + 1, "whatever": "comes"})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no sound JSON"),
        (b"{", "no sound JSON"),
        (b"\xff\xfe{}", "no sound JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"null", "must be a JSON object, not null"),
        (b'{"schema": 1, "schema": 2}', "'schema' stands twice"),
        (b'{"schema": 1, "recipe": {"a": {"b": 1, "b": 2}}}', "'b' stands twice"),
        (b'{"schema": NaN}', "no finite number"),
        (b'{"schema": 1e999}', "no finite number"),
        (b'{"schema": -Infinity}', "no finite number"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "no sound JSON"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" * 1_000_000, "deeper than 32"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deeper than 32"),
        (b" " * (4 * 2**20 + 1), "bytes; at most"),
    ],
)
def test_unsound_json(raw: bytes, words: str) -> None:
    with pytest.raises(PackageError) as caught:
        Manifest.from_bytes(raw, "config.json")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


def test_nesting_up_to_the_limit_is_read() -> None:
    manifest: dict[str, Any] = data()
    nested: Any = "end"
    for _ in range(30):
        nested = {"a": nested}
    manifest["recipe"] = {"deep": nested}
    assert read(manifest).recipe == {"deep": nested}
    manifest["recipe"] = {"deeper": {"deep": nested}}
    with pytest.raises(PackageError, match="deeper than 32"):
        read(manifest)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../x",
            "a/../../x",
            "/etc/passwd",
            "C:\\x",
            "C:/x",
            "a\\b",
            "\\\\host\\x",
            "a//b",
            "a/",
            "",
            ".",
            "..",
            "./a",
        ),
        *(".git/config", "a/.hidden", "a\0b", "a\nb", "a b", "~/x", "con", "a/NUL.txt", "x/com1", "name.", "a./b"),
        *("\uff21\uff22", "a\u0301", "x\u202etxt", "a" * 101, "/".join("abcdefghi"), "a:b", "a?b", "%2e%2e/x"),
    ],
)
def test_file_names_that_could_leave_the_folder(path: str) -> None:
    assert not is_safe_path(path)
    manifest = data()
    manifest["files"][path] = {"sha256": "0" * 64, "size": 1}
    with pytest.raises(PackageError, match="unusable name"):
        read(manifest)


@pytest.mark.parametrize("path", ["model.safetensors", "test/inputs.json", "a/b/c-1_2.txt", "context/x"])
def test_file_names_of_packages(path: str) -> None:
    assert is_safe_path(path)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("google-bert/bert-base-uncased", True),
        ("a/b", True),
        ("bert", False),
        ("a/b/c", False),
        ("../b", False),
        ("a/..", False),
        ("a--b/c", False),
        ("a/b c", False),
        ("./b", False),
        ("é/b", False),
    ],
)
def test_hub_ids(address: str, is_one: bool) -> None:
    assert is_hub_id(address) == is_one


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"is no model package: its config.json cannot be read"):
        read_manifest(tmp_path)


# The schema that is shipped says the same as the code. A validator of the part of JSON Schema that it uses:


def _is(value: Any, kind: Any) -> bool:
    return type(value) in kind if isinstance(kind, tuple) else type(value) is kind


def _errors(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return _errors(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    kinds = {"object": dict, "array": list, "number": (int, float), "string": str, "integer": int, "boolean": bool}
    allowed = schema.get("type", [])
    allowed = [allowed] if isinstance(allowed, str) else allowed
    if allowed and not any(_is(value, kinds[name]) for name in allowed):
        return [f"{value!r} is no {allowed}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{value!r} is none of {schema['enum']}"]
    if "const" in schema and value != schema["const"]:
        return [f"{value!r} is not {schema['const']}"]
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{value!r} does not match {schema['pattern']}"]
    if isinstance(value, list):
        return [error for item in value for error in _errors(schema.get("items", {}), item, root)]
    if not isinstance(value, dict):
        return []
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    found = [f"lacks {key}" for key in schema.get("required", []) if key not in value]
    for key, item in value.items():
        if key in known:
            found += _errors(known[key], item, root)
        elif others is False:
            found.append(f"unknown {key}")
        else:
            found += _errors(others, item, root)
        if "propertyNames" in schema:
            found += _errors(schema["propertyNames"], key, root)
    return found


SCHEMA_FILE = Path(dragoman_registry.__file__).parent / "manifest.schema.json"


def test_shipped_schema_accepts_what_is_written() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    assert _errors(schema, data(), schema) == []
    assert tuple(schema["properties"]["kind"]["enum"]) == KINDS
    assert schema["$defs"]["port"]["properties"]["modality"]["enum"] == list(MODALITIES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("unexpected",), 1),
        (("schema",), 2),
        (("kind",), "virus"),
        (("requires",), ["evil; rm"]),
        (("components", "source", "revision"), "main"),
        (("components", "source", "code"), "x"),
        (("components", "target", "subfolder"), "../x"),
        (("translator", "auto_map"), {}),
        (("ports", "source", "modality"), "smell"),
        (("ports", "source", "shape"), [1.5]),
        (("knobs", 0, "callback"), "x"),
        (("knobs", 0, "kind"), "colour"),
        (("knobs", 0, "low"), "0"),
        (("knobs", 3, "choices"), ["<script>"]),
        (("files", "../x"), {"sha256": "0" * 64, "size": 1}),
        (("files", "model.safetensors", "sha256"), "0"),
    ],
)
def test_shipped_schema_refuses_what_the_reader_refuses(path: tuple[str, ...], value: Any) -> None:
    manifest = data()
    put(*path)(manifest, value)
    schema = json.loads(SCHEMA_FILE.read_text())
    assert _errors(schema, manifest, schema)
    with pytest.raises(PackageError):
        read(manifest)


def test_shipped_schema_knows_every_field() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    assert set(schema["properties"]) == set(Manifest.__dataclass_fields__)
    assert set(schema["$defs"]["component"]["properties"]) == set(Component.__dataclass_fields__)
    assert set(schema["$defs"]["translator"]["properties"]) == set(TranslatorPart.__dataclass_fields__)
    assert set(schema["$defs"]["file"]["properties"]) == set(FileEntry.__dataclass_fields__)
    assert set(schema["$defs"]["knob"]["properties"]) == set(Knob.__dataclass_fields__)
    assert set(schema["$defs"]["port"]["properties"]) == set(Port.__dataclass_fields__)
