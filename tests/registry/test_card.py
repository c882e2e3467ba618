"""The card: what it says, that the Hub can read it, and that it leaves alone what a person wrote."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import dragoman
from dragoman.fusion import Fusion
from dragoman.ports import Port
from dragoman_registry.card import render_card
from dragoman_registry.manifest import Manifest
from dragoman_registry.parts import Component, TranslatorPart
from dragoman_registry.picture import picture_of
from tiny_zoo.build import build_fusion

DIGEST = "tensors-sha256:" + "0" * 64


def manifest(source: str = "mit", target: str = "mit", **facts: object) -> Manifest:
    return Manifest(
        kind="fusion",
        dragoman="0.1.0",
        digest=DIGEST,
        requires=("dragoman-cinn>=0.1",),
        components={
            "source": Component("bert", "dragoman-bert", "ns/bert", "a" * 40, "", source, DIGEST),
            "target": Component("biggan", "dragoman-biggan", "ns/biggan", "b" * 40, "", target, DIGEST),
        },
        translator=TranslatorPart("cinn", "dragoman-cinn", {}),
        ports={"source": Port("pooled", "vector", (3,)), "target": Port("z", "vector", (5,))},
        facts=facts,
    )


def metadata(card: str) -> dict[str, object]:
    data = ModelCard(card, ignore_metadata_errors=False).data
    return {str(key): value for key, value in vars(data).items() if value is not None}


def test_front_matter() -> None:
    assert metadata(render_card(manifest(), "ns/fusion")) == {
        "library_name": "dragoman",
        "pipeline_tag": "text-to-image",
        "tags": [
            "dragoman",
            "dragoman:fusion",
            "dragoman:from:bert",
            "dragoman:to:biggan",
            "dragoman:translator:cinn",
            "cinn",
            "bert",
            "biggan",
        ],
        "base_model": ["ns/bert", "ns/biggan"],
        "base_model_relation": "merge",
        "license": "mit",
    }


@pytest.mark.parametrize(
    ("source", "target", "whole"),
    [("mit", "apache-2.0", "apache-2.0"), ("MIT", "mit", "mit"), ("cc-by-nc-4.0", "cc-by-nc-4.0", "cc-by-nc-4.0")],
)
def test_licence_of_the_whole(source: str, target: str, whole: str) -> None:
    assert metadata(render_card(manifest(source, target), "x"))["license"] == whole


def test_non_commercial_parts_are_said_out_loud() -> None:
    card = render_card(manifest("cc-by-nc-4.0", "mit"), "x")
    assert "**Not for commercial use:** `bert` is licensed under cc-by-nc-4.0." in card
    assert "commercial" not in render_card(manifest("ncsa", "mit"), "x")


def test_picture_of_the_fusion() -> None:
    card = render_card(manifest(), "x")
    assert '```mermaid\nflowchart LR\n    prompt(["prompt"]) --> source["bert"]' in card
    assert 'source -->|"pooled (vector [3])"| translator{{"cinn"}}' in card
    assert 'translator -->|"z (vector [5])"| target["biggan"]' in card


def test_a_hostile_port_stays_a_label_in_the_picture() -> None:
    evil = Port('x"] --> y["<script>`', "vector", (3,))
    picture = picture_of(replace(manifest(), ports={"source": evil, "target": evil}))
    assert picture.count("-->") == picture_of(manifest()).count("-->")
    assert "<script" not in picture
    assert "`" not in picture


def test_figures_for_the_hub() -> None:
    figures = {"templates": {"class_accuracy": 0.5, "seed": 3}, "features": "judge", "fid": 1.5, "note": "good"}
    (model,) = json.loads(re.findall(r"^model-index: (.*)$", render_card(manifest(figures=figures), "ns/x"), re.M)[0])
    results = metadata(render_card(manifest(figures=figures), "ns/x"))["eval_results"]
    assert [result.metric_value for result in results] == [0.5, 1.5]  # type: ignore[attr-defined]
    found = {entry["dataset"]["name"]: entry["metrics"][0] for entry in model["results"]}
    assert model["name"] == "x"
    assert (found["templates"]["type"], found["templates"]["value"]) == ("class_accuracy", 0.5)
    assert found["templates"]["args"] == {"seed": 3, "features": "judge"}
    assert (found["generated pairs"]["type"], found["generated pairs"]["value"]) == ("fid", 1.5)
    assert len(found) == 2


def test_sample_grid(package: Path) -> None:
    assert "![What it makes of a few prompts](samples.png)" in (package / "README.md").read_text()
    with Image.open(package / "samples.png") as picture:
        assert picture.width > 4 * 90


@pytest.mark.parametrize(("source", "target"), [("mit", "gpl-3.0"), ("mit", ""), ("", "")])
def test_licence_of_parts_that_differ_or_are_unknown(source: str, target: str) -> None:
    found = metadata(render_card(manifest(source, target), "x"))
    assert (found["license"], found["license_name"]) == ("other", "see-parts")


def test_parts_with_their_licences(package: Path) -> None:
    card = (package / "README.md").read_text()
    assert "| source | `tiny-text` |" in card
    assert "| translator | `tiny-gaussian` | in this package |" in card
    assert card.count("unknown") == 2  # a checkpoint of one's own has no known licence
    rendered = render_card(manifest(), "x")
    assert f"[ns/bert](https://huggingface.co/ns/bert/tree/{'a' * 40}) at `aaaaaaaa` | mit |" in rendered
    assert "from the port `pooled (vector [3])` to the port `z (vector [5])`" in rendered
    assert "pip install 'dragoman-cinn>=0.1'" in rendered


def test_local_experts_are_no_base_models(package: Path) -> None:
    assert "base_model" not in metadata((package / "README.md").read_text())


def test_snippet_runs(zoo_of_tiny: object, experts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fusion = build_fusion(experts / "text", experts / "image", prompts=['a "red" bird\\'])
    fusion.save_pretrained(tmp_path / "package")
    found = re.search(r"```python\n(.*?)```", (tmp_path / "package" / "README.md").read_text(), re.DOTALL)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(found[1], scope)
    images = scope["images"]
    assert images.equal(dragoman.load("package").sample('a "red" bird\\', 4))  # type: ignore[attr-defined]


def test_figures() -> None:
    card = render_card(manifest(figures={"templates": {"class_accuracy": 0.98123, "n": 500}, "fid": 1.5}), "x")
    assert "| templates, class_accuracy | 0.9812 |\n| templates, n | 500 |\n| fid | 1.5 |" in card
    assert "Figures" not in render_card(manifest(), "x")
    assert "Figures" not in render_card(manifest(figures=[1]), "x")


def test_hostile_values_stay_text() -> None:
    evil = "<script>alert(1)</script>|`x`[a](javascript:b)\n# heading\n---\nlicense: evil"
    card = render_card(manifest(figures={evil: evil}, prompts=[evil]), evil)
    body = card.split("\n---\n", 1)[1]
    outside_code = re.sub(r"`[^`\n]+`", "", re.sub(r"```.*?```", "", body, flags=re.DOTALL))
    assert "<script" not in outside_code
    links = re.findall(r"(?<!\\)\[[^\[]*(?<!\\)\]\(([^)]*)\)", outside_code)
    assert [link.split("/")[2:5] for link in links] == [["huggingface.co", "ns", name] for name in ("bert", "biggan")]
    assert "\n# heading" not in body
    assert metadata(card)["license"] == "mit"


def test_what_a_person_wrote_survives(fusion: Fusion, package: Path) -> None:
    card = (package / "README.md").read_text()
    before, after = "\nMy words before.\n\n", "\n## Limits\n\nMy words after.\n"
    matter = "datasets: [a]\nlicense: mine\nwidget:\n- text: x\n---\n"
    mine = card.replace("---\n\n# package\n", matter + before)
    (package / "README.md").write_text(mine + after)
    fusion.facts["figures"] = {"fid": 2.0}
    fusion.save_pretrained(package)
    new = (package / "README.md").read_text()
    assert before in new
    assert new.endswith(after)
    assert "| fid | 2 |" in new
    front = metadata(new)
    assert front["datasets"] == ["a"]
    assert "\nwidget:\n- text: x\n" in new
    assert front["library_name"] == "dragoman"
    fusion.save_pretrained(package)
    assert (package / "README.md").read_text() == new


def test_card_without_our_section_gets_one(fusion: Fusion, package: Path) -> None:
    for words in ("Only words.\n", "---\nlanguage: pl\n---\nOnly words.\n"):
        (package / "README.md").write_text(words)
        fusion.save_pretrained(package)
        new = (package / "README.md").read_text()
        assert "Only words.\n\n<!-- dragoman" in new
        assert new.count("## How to run it") == 1
        assert ("language" in metadata(new)) == words.startswith("---")
