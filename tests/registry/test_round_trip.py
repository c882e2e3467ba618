"""A saved fusion, loaded again, is the same fusion."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import dragoman
from dragoman import Expert
from dragoman.endpoint import load_expert
from dragoman.errors import InputError, PackageError
from dragoman.fusion import Fusion
from dragoman_registry.format import PackageFormat
from dragoman_registry.manifest import read_manifest
from tiny_zoo.build import RECIPE, build_fusion
from tiny_zoo.parts import TinyBrightness, TinyGaussian, TinyImage, TinyJudge

PROMPTS = ["one", "two birds"]


def draw(fusion: Fusion, **knobs: object) -> torch.Tensor:
    return fusion.sample(PROMPTS, 3, generator=torch.Generator().manual_seed(5), **knobs)  # type: ignore[arg-type]


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_samples_are_equal_bit_for_bit(fusion: Fusion, package: Path) -> None:
    again = dragoman.load(package)
    assert torch.equal(draw(again), draw(fusion))


def test_what_the_fusion_knows_comes_back(fusion: Fusion, package: Path) -> None:
    again = dragoman.load(package)
    assert again.facts["recipe"] == RECIPE
    assert again.names == fusion.names
    assert (again.source.name, again.source.port) == (fusion.source.name, fusion.source.port)
    assert (again.target.name, again.target.port) == (fusion.target.name, fusion.target.port)
    assert not again.translator.training


def test_knobs_are_in_the_manifest_and_on_the_card(fusion: Fusion, package: Path) -> None:
    assert read_manifest(package).knobs == fusion.knobs() == dragoman.load(package).knobs()
    assert [knob["name"] for knob in PackageFormat().describe(package)["knobs"]] == ["temperature", "truncation"]
    assert "| `truncation` | 0 to 1 | 1 | variety of the generator" in (package / "README.md").read_text()


def test_package_holds_the_files_of_the_format_and_nothing_else(package: Path) -> None:
    assert set(hashes(package)) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "samples.png",
        "test/inputs.json",
        "test/outputs.safetensors",
        "test/tolerances.json",
    }


def test_saving_twice_gives_the_same_bytes(fusion: Fusion, package: Path, tmp_path: Path) -> None:
    fusion.save_pretrained(tmp_path / "other" / "package")
    assert hashes(tmp_path / "other" / "package") == hashes(package)


def test_saving_what_was_loaded_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    dragoman.load(package).save_pretrained(tmp_path / "again" / "package")
    assert hashes(tmp_path / "again" / "package") == hashes(package)


def test_experts_are_named_and_not_copied(package: Path, experts: Path) -> None:
    components = json.loads((package / "config.json").read_text())["components"]
    assert components["source"]["repo"] == str(experts / "text")
    assert components["source"]["digest"].startswith("tensors-sha256:")
    assert components["source"]["config"] == {"hidden": 6}
    assert (package / "model.safetensors").stat().st_size < 1000


def test_token_conditions_are_saved_with_their_mask(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    fusion = build_fusion(experts / "text", experts / "image", port="tokens")
    fusion.save_pretrained(tmp_path / "package")
    assert torch.equal(draw(dragoman.load(tmp_path / "package")), draw(fusion))


def test_ranker_without_weights_is_named_only(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    fusion = build_fusion(experts / "text", experts / "image", ranker=TinyBrightness(), ranker_name="tiny-brightness")
    fusion.save_pretrained(tmp_path / "package")
    again = dragoman.load(tmp_path / "package")
    assert torch.equal(draw(again, candidates=4), draw(fusion, candidates=4))
    component = json.loads((tmp_path / "package" / "config.json").read_text())["components"]["ranker"]
    assert component == {"name": "tiny-brightness", "plugin": "dragoman-tiny-zoo"}


def test_what_a_fusion_prefers_is_kept(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    fusion = build_fusion(experts / "text", experts / "image", ranker=TinyBrightness(), ranker_name="tiny-brightness")
    plain = draw(fusion)
    fusion.prefer(candidates=4, ranking_temperature=0.1, truncation=0.5).save_pretrained(tmp_path / "package")
    again = dragoman.load(tmp_path / "package")
    assert torch.equal(draw(again), draw(fusion))
    assert torch.equal(draw(again, candidates=1, truncation=1.0), plain)
    knobs = {
        knob["name"]: knob["default"]
        for knob in json.loads((tmp_path / "package" / "config.json").read_text())["knobs"]
    }
    assert knobs == {"temperature": 1.0, "truncation": 0.5, "candidates": 4, "ranking_temperature": 0.1}
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "package" / "config.json").read_bytes()


def test_ranker_with_weights_is_a_reference_like_an_expert(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    judge = TinyJudge.from_pretrained(experts / "judge")
    fusion = build_fusion(experts / "text", experts / "image", ranker=judge, ranker_name="tiny-judge")
    fusion.save_pretrained(tmp_path / "package")
    assert torch.equal(draw(dragoman.load(tmp_path / "package"), candidates=4), draw(fusion, candidates=4))
    (experts / "judge" / "model.safetensors").unlink()
    with pytest.raises(PackageError, match="tiny-judge"):
        dragoman.load(tmp_path / "package")


def test_ranker_built_in_memory_cannot_be_named(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    judge = TinyJudge({}, torch.ones(192))
    fusion = build_fusion(experts / "text", experts / "image", ranker=judge, ranker_name="tiny-judge")
    with pytest.raises(InputError, match=r"tiny-judge.*save_pretrained"):
        fusion.save_pretrained(tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_expert_built_in_memory_cannot_be_named(fusion: Fusion, tmp_path: Path) -> None:
    fusion.target.expert.origin = None
    with pytest.raises(InputError, match=r"tiny-image.*save_pretrained"):
        fusion.save_pretrained(tmp_path / "package")


def test_expert_in_a_subfolder(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    fusion = build_fusion(experts / "text", experts / "image")
    expert: Expert = TinyImage.from_pretrained(experts, subfolder="image")
    object.__setattr__(fusion.target, "expert", expert)
    fusion.save_pretrained(tmp_path / "package")
    component = json.loads((tmp_path / "package" / "config.json").read_text())["components"]["target"]
    assert (component["repo"], component["subfolder"]) == (str(experts), "image")
    assert torch.equal(draw(dragoman.load(tmp_path / "package")), draw(fusion))


def test_folders_are_named_so_that_they_are_found_from_elsewhere(
    zoo_of_tiny: object, experts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(experts)
    fusion = build_fusion("text", "./image")
    fusion.save_pretrained(tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    assert torch.equal(draw(dragoman.load("package")), draw(fusion))


def test_fusion_without_the_name_of_its_translator(fusion: Fusion, tmp_path: Path) -> None:
    fusion.names.clear()
    with pytest.raises(InputError, match="translator"):
        fusion.save_pretrained(tmp_path / "package")


def test_half_precision_weights_are_kept_and_loaded(fusion: Fusion, tmp_path: Path) -> None:
    rounded = {name: tensor.half() for name, tensor in fusion.translator.state_dict().items()}
    fusion.translator.load_state_dict(rounded)
    fusion.save_pretrained(tmp_path / "package")
    assert torch.equal(draw(dragoman.load(tmp_path / "package")), draw(fusion))


def test_rounded_weights_are_stored_in_half_the_room_and_lose_nothing(fusion: Fusion, tmp_path: Path) -> None:
    fusion.save_pretrained(tmp_path / "full")
    rounded = fusion.round_weights()
    rounded.save_pretrained(tmp_path / "half")
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert {tensor.dtype for tensor in load_file(tmp_path / "full" / "model.safetensors").values()} == {torch.float32}
    loaded = dragoman.load(tmp_path / "half").translator.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in rounded.translator.state_dict().items())


def test_global_generator_is_left_alone(package: Path) -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    dragoman.load(package)
    assert torch.equal(torch.randn(4), expected)


def test_describe_reads_no_weights_and_imports_no_torch(package: Path, run_python: object) -> None:
    code = (
        "import sys, json; from pathlib import Path; from dragoman_registry.format import PackageFormat;"
        f"d = PackageFormat().describe(Path({str(package)!r}));"
        "print(json.dumps([d['parameters'], d['tensors'], d['translator']['name'], 'torch' in sys.modules]))"
    )
    assert json.loads(run_python(code)) == [6 * 5 + 5, 2, "tiny-gaussian", False]  # type: ignore[operator]


def test_facts_that_json_cannot_hold(fusion: Fusion, tmp_path: Path) -> None:
    for value in (object(), float("nan")):
        fusion.facts["figure"] = value
        with pytest.raises(InputError, match="JSON"):
            fusion.save_pretrained(tmp_path / "package")
    assert list(tmp_path.glob("*package*")) == []


def test_translator_in_training_mode_stays_in_it(fusion: Fusion, tmp_path: Path) -> None:
    fusion.translator.train()
    fusion.save_pretrained(tmp_path / "package")
    assert fusion.translator.training


def test_expert_is_found_by_its_own_loader_too(package: Path, experts: Path) -> None:
    loaded = load_expert("tiny-image", str(experts / "image"))
    assert torch.equal(next(loaded.parameters()), next(dragoman.load(package).decoder.parameters()))
    assert isinstance(dragoman.load(package).translator, TinyGaussian)
