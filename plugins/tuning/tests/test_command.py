"""The command, from a BigGAN's folder to a package that samples by name."""

import json

import pytest
import torch
from click.testing import CliRunner

import dragoman
from dragoman.errors import InputError
from dragoman.images import save_png, to_pil
from dragoman_tuning.commands import tune
from dragoman_tuning.names import ClassNames
from dragoman_tuning.real import read_real

pytest.importorskip("dragoman_minizoo")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for name in ("dress", "bag"):
        (folder / name).mkdir()
        for index in range(6):
            picture = torch.rand(1, 40, 32, generator=torch.Generator().manual_seed(index))
            save_png(to_pil(picture), folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def made(gan, real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    gan.save_pretrained(folder / "gan")
    words = [f"biggan={folder / 'gan'}", "--task", "repair", "--classes", "dress", "--classes", "bag=8"]
    words += ["--critic", "guide-fashion", "--judge", "judge-fashion", "--real", str(real), "--device", "cpu"]
    words += ["--steps", "2", "--batch-size", "4", "--samples", "20", "--starts", "1", "--out", str(folder / "out")]
    result = CliRunner().invoke(tune, words, catch_exceptions=False)
    return folder / "out", result


def test_it_prints_where_the_package_is_and_reports_both_classifiers(made):
    folder, result = made
    assert result.stdout.strip() == str(folder / "model")
    report = json.loads((folder / "report.json").read_text())
    assert set(report) == {"dress", "bag"}
    known = {"guide_accuracy", "judge_accuracy", "diversity", "real_diversity", "frechet"}
    assert set(report["dress"]["before"]) == set(report["dress"]["after"]) == known


def test_the_package_is_small_and_samples_by_name(made):
    folder, _ = made
    assert (folder / "model" / "model.safetensors").stat().st_size < 2000
    fusion = dragoman.load(folder / "model")
    images = fusion.sample(["Dress", "bag"], 2)
    assert images.shape == (4, 1, 32, 32)
    with pytest.raises(InputError, match="'dress', 'bag'"):
        fusion.sample("coat")


def test_what_the_package_draws_is_what_was_evaluated(made, gan):
    folder, _ = made
    fusion = dragoman.load(folder / "model")
    latent = fusion.translator.sample(["bag"], generator=torch.Generator().manual_seed(4))
    again = gan.decode(latent[:, 8:], "class_embedding", z=latent[:, :8])
    torch.testing.assert_close(fusion.sample("bag", generator=torch.Generator().manual_seed(4)), again)


def test_the_package_says_how_it_was_made(made):
    folder, _ = made
    manifest = json.loads((folder / "model" / "config.json").read_text())
    assert manifest["recipe"]["task"] == "repair"
    assert manifest["recipe"]["objective"]["real"] > 0
    assert "frechet" in manifest["facts"]["figures"]["dress"]["after"]
    assert "repo" not in manifest["components"]["source"]


def test_a_judge_that_was_tuned_against_is_refused(gan, tmp_path):
    gan.save_pretrained(tmp_path / "gan")
    words = [f"biggan={tmp_path / 'gan'}", "--task", "repair", "--classes", "dress", "--critic", "guide-fashion"]
    result = CliRunner().invoke(tune, [*words, "--judge", "guide-fashion", "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, InputError)
    assert "cannot judge" in str(result.exception)


def test_every_second_real_image_is_kept_for_evaluation(real):
    (dress,) = read_real(real, ["dress"], (1, 32, 32))
    assert dress.tuning.shape == dress.evaluation.shape == (3, 1, 32, 32)
    # 40 x 32 pixels: the middle 32 rows.
    whole = torch.rand(1, 40, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(dress.evaluation[0], whole[:, 4:36], atol=3e-3, rtol=0)


def test_a_class_without_real_images_is_named(real):
    with pytest.raises(InputError, match="coat holds 0 images"):
        read_real(real, ["coat"], (1, 32, 32))


def test_names_go_through_as_they_are():
    assert ClassNames().encode(["Coat", "a"], "name") == ["Coat", "a"]
    with pytest.raises(InputError, match="list of texts"):
        ClassNames().encode("coat", "name")
