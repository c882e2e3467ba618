"""The demo from end to end, with little of everything."""

import json
import subprocess
import sys

import pytest
import torch

import dragoman
from dragoman.errors import DragomanError
from dragoman.recipe import Recipe
from dragoman_minizoo import demo
from dragoman_minizoo.evaluating import held_out_prompts, make_jury
from dragoman_minizoo.prompts import TIERS
from dragoman_minizoo.references import SHIPPED, collect, references_beside

FIGURES = ("class_accuracy", "attribute_accuracy", "diversity_ratio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    demo.run(out, minutes=0.02, count=12, seed=0, pairs=400)
    return out


def test_the_report_has_every_figure_of_every_way(folder):
    report = json.loads((folder / "report.json").read_text())
    assert report["verbatim_overlap"] == 0
    hows = ("", ", the translator alone", ", the flow alone")
    assert set(report["fusions"]) == {f"{name}{how}" for name in ("quick", "shipped") for how in hows}
    assert set(report["baselines"]) == {"regression", "nearest caption", "random of the 16 nearest captions"}
    ways = [*report["fusions"].values(), *report["baselines"].values()]
    for figures in [*ways, *report["limit"].values()]:
        for name in FIGURES:
            assert set(figures[name]) == set(TIERS)
        assert figures["images_per_second"] > 0
    for figures in ways:
        assert {"train_seconds", "translator_params"} <= set(figures)


def test_the_baselines_behave_as_they_are_known_to(folder):
    baselines = json.loads((folder / "report.json").read_text())["baselines"]
    assert all(value < 1e-3 for value in baselines["regression"]["diversity_ratio"].values())
    assert baselines["nearest caption"]["novelty"] == 0
    assert baselines["random of the 16 nearest captions"]["novelty"] == 0
    assert baselines["regression"]["novelty"] > 0.1


def test_the_limit_is_right_about_what_it_was_told(folder):
    (limit,) = json.loads((folder / "report.json").read_text())["limit"].values()
    # Of a dozen prompts one may ask for what none of the samples shows.
    assert all(value > 0.8 for value in limit["attribute_accuracy"].values())
    assert all(value > 0.4 for value in limit["diversity_ratio"].values())


def test_the_fusion_was_published_pulled_and_makes_the_same_pictures(folder):
    publication = json.loads((folder / "report.json").read_text())["publication"]
    assert publication["same_pictures"]
    assert "reproduces" in publication["check"]


def test_the_fusion_can_be_loaded_and_sampled(folder):
    fusion = dragoman.load(folder / "model")
    images = fusion.sample(["a dark bag"], n=3, generator=torch.Generator().manual_seed(0))
    assert images.shape == (3, 1, 32, 32)
    assert (folder / "grid.png").stat().st_size > 1000


def test_the_shipped_fusion_makes_what_it_is_asked_for():
    prompts = held_out_prompts(40)["templates"]
    fusion = dragoman.load(SHIPPED)
    found = make_jury().judge_images(fusion.sample(prompts.captions, 2, batch_size=80), prompts)
    assert found.class_accuracy > 0.9
    assert found.attribute_accuracy > 0.8
    assert found.diversity_ratio > 0.7


def test_what_fails_beside_is_shown_and_ends_the_demo(tmp_path, capsys):
    (tmp_path / "references.log").write_text("judging\nError: There is no such thing.\n")
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(DragomanError, match="failed with exit code 3"),
    ):
        collect(process, tmp_path)
    assert capsys.readouterr().err == "judging\nError: There is no such thing.\n"


def test_nothing_is_left_running_when_the_demo_is_interrupted(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        references_beside(Recipe("bert", "biggan-fashion", {"name": "cinn"}), tmp_path, 1) as process,
    ):
        raise KeyboardInterrupt
    assert process.poll() is not None
