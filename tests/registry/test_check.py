"""Checking a package: does it run, does it reproduce, and where are the tensors that differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from dragoman.errors import DragomanError, InputError, PackageError
from dragoman.fusion import Fusion
from dragoman_registry import vectors
from dragoman_registry.check import check
from dragoman_registry.commands import check as command
from dragoman_registry.vectors import Inputs, produce, read_vectors
from tiny_zoo.build import build_fusion
from tiny_zoo.parts import TinyBrightness, TinyImage
from tiny_zoo.tamper import edit_manifest, reseal


def change_outputs(package: Path, name: str, amount: float, rows: int = 1) -> None:
    tensors = load_file(package / "test" / "outputs.safetensors")
    tensors[name].view(-1)[:rows] += amount
    save_file(tensors, package / "test" / "outputs.safetensors")
    reseal(package)


def test_a_sound_package_runs_and_reproduces(package: Path) -> None:
    report = check(package)
    assert (report.runs, report.reproduces, report.produced, report.passed) == (True, True, None, True)
    assert [sentence.partition(":")[0] for sentence in report.sentences[1:]] == ["condition", "images", "latent"]


@pytest.mark.parametrize("name", ["condition", "latent", "images"])
def test_it_runs_but_does_not_reproduce(package: Path, tmp_path: Path, name: str) -> None:
    change_outputs(package, name, 0.5, rows=20)
    report = check(package, keep=tmp_path / "kept")
    assert (report.runs, report.reproduces, report.passed) == (True, False, False)
    assert [sentence for sentence in report.sentences if "differs" in sentence and sentence.startswith(name)]
    assert sum("differs" in sentence for sentence in report.sentences) == 1
    assert report.produced == tmp_path / "kept"
    produced, stored = load_file(report.produced / "outputs.safetensors"), load_file(package / vectors.OUTPUTS)
    assert not torch.equal(produced[name], stored[name])


def test_produced_tensors_are_kept_in_a_temporary_folder(package: Path) -> None:
    change_outputs(package, "latent", 1.0)
    report = check(package)
    assert report.produced is not None
    assert (report.produced / "outputs.safetensors").is_file()
    shutil.rmtree(report.produced)


def test_differences_within_the_tolerance(package: Path) -> None:
    change_outputs(package, "images", 1 / 255, rows=100)
    assert check(package).passed
    change_outputs(package, "images", 0.5, rows=3)  # of 384: less than one in a hundred
    assert check(package).passed
    change_outputs(package, "images", 0.5, rows=4)
    assert check(package).reproduces is False


def test_nan_is_never_within_the_tolerance(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TinyImage.decode

    def decode(self: TinyImage, representation: Any, port: str, **knobs: Any) -> torch.Tensor:
        return real(self, representation, port, **knobs) * float("nan")

    monkeypatch.setattr(TinyImage, "decode", decode)
    report = check(package)
    assert (report.runs, report.reproduces) == (True, False)
    assert report.produced is not None
    shutil.rmtree(report.produced)


def test_outputs_of_another_shape(package: Path) -> None:
    tensors = load_file(package / vectors.OUTPUTS)
    tensors["images"] = tensors["images"][:, :, :4]
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, package / vectors.OUTPUTS)
    reseal(package)
    report = check(package)
    assert report.reproduces is False
    assert any("has shape [2, 3, 8, 8], stored is [2, 3, 4, 8]" in sentence for sentence in report.sentences)


def test_a_damaged_package_does_not_run(package: Path) -> None:
    (package / "model.safetensors").write_bytes(b"")
    report = check(package)
    assert (report.runs, report.reproduces) == (False, None)
    assert "model.safetensors" in report.sentences[0]


def test_an_expert_that_was_exchanged(package: Path, experts: Path) -> None:
    TinyImage({"latent": 5}, torch.zeros(5, 192)).save_pretrained(experts / "image")
    report = check(package)
    assert (report.runs, report.reproduces) == (False, None)
    assert "'tiny-image'" in report.sentences[0]


def test_a_defect_of_a_plugin_is_an_answer(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyImage, "decode", lambda *_, **__: 1 / 0)
    report = check(package)
    assert (report.runs, report.reproduces) == (False, None)
    assert "stops with ZeroDivisionError: division by zero" in report.sentences[0]


def test_a_package_without_vectors_runs_and_no_more_can_be_told(package: Path) -> None:
    shutil.rmtree(package / "test")

    def edit(manifest: dict[str, Any]) -> None:
        manifest["files"] = {"model.safetensors": manifest["files"]["model.safetensors"]}

    edit_manifest(package, edit)
    report = check(package)
    assert (report.runs, report.reproduces, report.passed) == (True, None, False)
    assert "has no test vectors" in report.sentences[0]


def test_nothing_to_check(zoo_of_tiny: object, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="does not exist"):
        check(tmp_path / "nowhere")


# What is written


def test_prompts_come_from_the_facts(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    prompts = ["a shoe", "a bag", "a hat"]
    build_fusion(experts / "text", experts / "image", prompts=prompts).save_pretrained(tmp_path / "package")
    inputs, outputs, _ = read_vectors(tmp_path / "package")
    assert inputs == Inputs(tuple(prompts))
    assert outputs["images"].shape == (3, 3, 8, 8)
    assert check(tmp_path / "package").passed


@pytest.mark.parametrize("prompts", ["one text", [], [1], ["two\nlines"], [""]])
def test_prompts_that_cannot_be(zoo_of_tiny: object, experts: Path, tmp_path: Path, prompts: object) -> None:
    with pytest.raises(DragomanError):
        build_fusion(experts / "text", experts / "image", prompts=prompts).save_pretrained(tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_prompts_of_the_wrong_kind_are_named(fusion: Fusion, tmp_path: Path) -> None:
    fusion.facts["prompts"] = "one text"
    with pytest.raises(InputError, match="'prompts' must be a list of texts that are not empty, not 'one text'"):
        fusion.save_pretrained(tmp_path / "package")


def test_scores_of_the_ranker_are_replayed(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    fusion = build_fusion(experts / "text", experts / "image", ranker=TinyBrightness(), ranker_name="tiny-brightness")
    fusion.save_pretrained(tmp_path / "package")
    assert read_vectors(tmp_path / "package")[1]["scores"].shape == (2,)
    change_outputs(tmp_path / "package", "scores", 1.0)
    report = check(tmp_path / "package", keep=tmp_path / "kept")
    assert report.reproduces is False


def test_masks_of_token_conditions_are_exact(zoo_of_tiny: object, experts: Path, tmp_path: Path) -> None:
    build_fusion(experts / "text", experts / "image", port="tokens").save_pretrained(tmp_path / "package")
    _, outputs, tolerances = read_vectors(tmp_path / "package")
    assert outputs["condition_mask"].dtype == torch.bool
    assert tolerances["condition_mask"].atol == tolerances["condition_mask"].max_mismatch == 0
    assert check(tmp_path / "package").passed


def test_large_images_are_shrunk_by_averaging(fusion: Fusion, monkeypatch: pytest.MonkeyPatch) -> None:
    large = torch.rand(2, 3, 256, 128, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(fusion, "sample", lambda *_, **__: large)
    small = produce(fusion, Inputs())["images"]
    assert small.shape == (2, 3, 64, 64)
    torch.testing.assert_close(small, large.view(2, 3, 64, 4, 64, 2).mean((3, 5)))


def test_every_tolerance_has_a_reason(package: Path) -> None:
    assert all(len(tolerance.reason) > 10 for tolerance in read_vectors(package)[2].values())


# What is read


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("inputs", {"prompts": ["x"], "n": 10**9, "seed": 0}, "'n' must be a whole number from 1 to 16"),
        ("inputs", {"prompts": ["x"] * 17, "n": 1, "seed": 0}, "has 17 prompts"),
        ("inputs", {"prompts": [], "n": 1, "seed": 0}, "has 0 prompts"),
        ("inputs", {"prompts": ["x" * 2001], "n": 1, "seed": 0}, "'prompts' cannot be"),
        ("inputs", {"prompts": ["x"], "n": 1, "seed": -1}, "'seed' must be"),
        ("inputs", {"prompts": ["x"], "n": 1, "seed": 0, "run": "x"}, "unknown entries"),
        ("inputs", [], "must be a JSON object"),
        ("tolerances", {}, "no tolerance for condition, images, latent"),
        ("tolerances", {"images": {"rtol": 0, "atol": 0, "max_mismatch": 0.9, "reason": ""}}, "from 0.0 to 0.1"),
        ("tolerances", {"images": {"rtol": 9, "atol": 0, "max_mismatch": 0, "reason": ""}}, "'rtol' must be"),
        ("tolerances", {"images": {"rtol": "0"}}, "'rtol' cannot be text"),
        ("tolerances", {"images": 1}, "must be a JSON object"),
    ],
)
def test_vectors_that_ask_too_much(package: Path, name: str, content: Any, words: str) -> None:
    (package / "test" / f"{name}.json").write_text(json.dumps(content))
    reseal(package)
    report = check(package)
    assert (report.runs, report.reproduces) == (False, None)
    assert words in report.sentences[0]


# The command


def test_command_says_both_answers(package: Path) -> None:
    result = CliRunner().invoke(command, [str(package)])
    assert result.exit_code == 0
    assert result.stdout.startswith("runs: yes\nreproduces: yes\n")


def test_command_fails_unless_both_hold(package: Path, tmp_path: Path) -> None:
    change_outputs(package, "latent", 1.0)
    result = CliRunner().invoke(command, [str(package), "--json", "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["runs"], report["reproduces"]) == (True, False)
    assert report["produced"] == str(tmp_path / "kept")
    (package / "model.safetensors").unlink()
    result = CliRunner().invoke(command, [str(package)])
    assert result.exit_code == 1
    assert result.stdout.startswith("runs: no\nreproduces: cannot be told\n")


def test_command_imports_nothing_heavy(run_python: Any) -> None:
    code = "import sys, dragoman_registry.commands, dragoman_registry; print([m in sys.modules for m in {!r}])"
    heavy = ["torch", "numpy", "safetensors", "huggingface_hub", "transformers", "pluggy._manager", "packaging"]
    loaded = json.loads(run_python(code.format(heavy)).lower())
    assert loaded[:5] == [False] * 5
