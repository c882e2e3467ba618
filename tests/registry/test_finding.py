"""Showing without downloading, searching by tags, the graph of the zoo, and the commands for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import HfApi, constants

from dragoman.cli.show import show
from dragoman.errors import PackageError
from dragoman.fusion import Fusion
from dragoman_registry.addresses import HubAddress
from dragoman_registry.commands import check
from dragoman_registry.commands_graph import graph
from dragoman_registry.commands_hub import pull, search
from dragoman_registry.drawing import columns_of, svg
from dragoman_registry.graph import Edge, Graph, mermaid
from dragoman_registry.remote_package import describe
from tiny_zoo.tamper import edit_manifest


def run(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)  # type: ignore[arg-type]


def cached() -> list[str]:
    return sorted(path.name for path in Path(constants.HF_HUB_CACHE).rglob("snapshots/*/*"))


def test_show_reads_manifest_and_header_alone(
    shared_fusion: Fusion, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shared_fusion.push_to_hub("me/fusion")
    elsewhere("theirs")
    result = run(show, "me/fusion", "--json", "--tensors")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["address"], shown["revision"]) == ("me/fusion", url.rpartition("/")[2])
    assert (shown["tensors"], shown["parameters"]) == (2, 35)
    table = [("layers.0.weight", "[5, 6]"), ("layers.0.bias", "[5]")]
    assert sorted((row["tensor"], row["shape"]) for row in shown["tensor_table"]) == sorted(table)
    assert shown["ports"]["source"]["name"] == "pooled"
    assert cached() == ["config.json"]

    text = run(show, "hf://me/fusion@main").stdout
    assert "parameters: 35" in text
    assert "layers.0.weight" not in text
    assert run(pull, "me/fusion").exit_code == 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert describe(HubAddress("me/fusion"))["parameters"] == 35


def test_show_does_not_pass_on_control_characters(package: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["facts"]["x\x1b[31m"] = "red\x1b]0;title\x07\nnext"

    edit_manifest(package, edit)
    text = run(show, str(package)).stdout
    assert "x?[31m: red?]0;title??next" in text
    assert "\x1b" not in text


def test_show_of_what_is_no_package(shared_fusion: Fusion, api: HfApi) -> None:
    with pytest.raises(PackageError, match=r"me/text/config\.json"):
        describe(HubAddress("me/text"))
    api.create_repo("me/empty")
    with pytest.raises(PackageError, match=r"me/empty is no model package: it has no config.json"):
        describe(HubAddress("me/empty"))
    with pytest.raises(PackageError, match="has no model me/none, or not for you"):
        describe(HubAddress("me/none"))


def test_check_at_the_hub(shared_fusion: Fusion) -> None:
    shared_fusion.push_to_hub("me/fusion")
    result = run(check, "me/fusion")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("runs: yes\nreproduces: yes\n")


def test_search_and_the_graph_of_the_hub(shared_fusion: Fusion, api: HfApi) -> None:
    for name in ("one", "two"):
        shared_fusion.push_to_hub(f"me/{name}")
    assert run(search, "-q").stdout.split() in (["me/one", "me/two"], ["me/two", "me/one"])
    arguments: tuple[str, ...]
    for arguments in (
        ("--from", "tiny-text"),
        ("--to", "tiny-image"),
        ("--translator", "tiny-gaussian", "--kind", "fusion"),
    ):
        assert set(run(search, "-q", *arguments).stdout.split()) == {"me/one", "me/two"}
    for arguments in (("--from", "tiny-image"), ("--translator", "cinn"), ("--kind", "critic"), ("nothing",)):
        result = run(search, *arguments)
        assert (result.stdout, result.stderr) == ("", "Nothing found.\n")
    assert run(search, "tw", "-q").stdout == "me/two\n"
    (found,) = json.loads(run(search, "one", "--json").stdout)
    expected = {
        "repo": "me/one",
        "kind": "fusion",
        "source": "tiny-text",
        "target": "tiny-image",
        "licence": "apache-2.0",
    }
    assert expected.items() <= found.items()
    lines = run(search, "one").stdout.splitlines()
    assert lines[0].split() == ["MODEL", "KIND", "FROM", "TRANSLATOR", "TO", "LICENCE", "DOWNLOADS", "MODIFIED"]
    assert lines[1].split()[:6] == ["me/one", "fusion", "tiny-text", "tiny-gaussian", "tiny-image", "apache-2.0"]

    drawn = run(graph, "--hub").stdout
    assert drawn.count('-->|"tiny-gaussian: me/') == 2
    assert drawn.count('["tiny-text"]') == 1
    assert isinstance(run(graph, "--hub", "x").exception, Exception)


def test_graph_of_what_is_installed(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    text = run(graph).stdout
    assert text == 'flowchart LR\n    e0["tiny-text"]\n    e1["tiny-image"]\n'
    text = run(graph, str(package)).stdout
    assert 'e0 -->|"tiny-gaussian, pooled to z: ' in text
    result = run(graph, str(package), "--out", str(tmp_path / "deep" / "zoo.svg"))
    assert result.stdout == f"{tmp_path / 'deep' / 'zoo.svg'}\n"
    root = ElementTree.fromstring((tmp_path / "deep" / "zoo.svg").read_text())
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"tiny-text", "tiny-image"} < set(texts)


def test_columns_go_from_readers_to_renderers_even_in_cycles() -> None:
    edges = [Edge("a", "b", "t", "1"), Edge("b", "c", "t", "2"), Edge("a", "c", "t", "3")]
    column = columns_of(Graph.of(edges))
    assert column["a"] < column["b"] < column["c"]
    cyclic = Graph.of([*edges, Edge("c", "a", "t", "4"), Edge("a", "a", "t", "5")], ["alone"])
    assert set(columns_of(cyclic)) == {"a", "b", "c", "alone"}
    ElementTree.fromstring(svg(cyclic))


def test_nothing_to_draw() -> None:
    ElementTree.fromstring(svg(Graph((), ())))
    assert mermaid(Graph((), ())) == "flowchart LR\n"


def test_hostile_names_stay_text_in_pictures() -> None:
    evil = '"]-->x<script>alert(1)</script>\x1b[31m&\n'
    drawn = Graph.of([Edge(evil, "b", evil, evil)])
    root = ElementTree.fromstring(svg(drawn))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    text = mermaid(drawn)
    assert "<script" not in text
    assert text.count("-->") == 1
    assert "\x1b" not in text
