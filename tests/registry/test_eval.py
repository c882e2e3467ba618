"""``dragoman eval``: figures by metric, labelled with their features, in the card of a model."""

import json
from dataclasses import replace
from typing import ClassVar
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dragoman.endpoint import load_expert
from dragoman.errors import InputError, PackageError
from dragoman.metrics import frechet_distance
from dragoman.training.seeding import generator_for
from dragoman_registry import curve, subject, sweep
from dragoman_registry.commands_eval import evaluate as command
from dragoman_registry.evaluation import Evaluation, evaluate, write_results
from dragoman_registry.image_folder import read_images
from dragoman_registry.manifest import read_manifest
from dragoman_registry.results import Result, with_results

JUDGE = "judge-fashion:features"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real") / "garments"
    folder.mkdir()
    expert = load_expert("biggan-fashion")
    images = expert.decode(expert.draw("latent", 30, generator=generator_for(9)), "latent")
    for index, image in enumerate((images * 255).round().byte()):
        Image.fromarray(image[0].numpy()).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def measured(real):
    return evaluate("biggan-fashion", real, features_of=JUDGE, seed=1)


def test_figures_are_those_of_the_metrics(real, measured):
    expert, judge = load_expert("biggan-fashion"), load_expert("judge-fashion")
    made = expert.decode(expert.draw("latent", 30, generator=generator_for(1, "draw")), "latent")
    made = (made * 255).round().byte()
    seen = [judge.encode(each.float() / 255, "features") for each in (read_images(real).images, made)]
    assert measured.figures["frechet_distance"] == pytest.approx(frechet_distance(*seen), rel=1e-4)
    assert measured.figures["diversity"] == pytest.approx(torch.pdist(seen[1]).mean().item(), rel=1e-4)
    ratio = torch.pdist(seen[1]).mean() / torch.pdist(seen[0]).mean()
    assert measured.figures["diversity_ratio"] == pytest.approx(ratio.item(), rel=1e-4)
    assert measured.figures.keys() >= {"kernel_distance", "precision", "recall", "density", "coverage"}
    assert (measured.features, measured.samples, measured.dataset) == (JUDGE, 30, "garments")


def test_only_what_is_asked_for(real):
    assert evaluate("biggan-fashion", real, features_of=JUDGE, metrics=["fid"]).figures.keys() == {"frechet_distance"}


def test_no_figure_bears_the_name_of_inceptions(real, measured, tmp_path):
    result = CliRunner().invoke(command, ["biggan-fashion", "--real", str(real), "--features", JUDGE])
    assert result.exit_code == 0, result.output
    assert "fid" not in result.stdout.lower()
    assert all(line.endswith(JUDGE) for line in result.stdout.splitlines()[1:])
    assert "none: one has all samples" in result.stdout
    assert "kernel_distance_std" not in measured.figures
    write_results(tmp_path, measured)
    assert "fid" not in (tmp_path / "README.md").read_text().lower()


def test_mistakes(real, tmp_path):
    with pytest.raises(InputError, match="no metric 'is'; there are fid, kid, prdc, diversity"):
        evaluate("biggan-fashion", real, features_of=JUDGE, metrics=["is"])
    with pytest.raises(InputError, match="holds 30 images; 40 are needed"):
        evaluate("biggan-fashion", real, features_of=JUDGE, samples=40)
    with pytest.raises(InputError, match="judge-fashion is no generator"):
        evaluate("judge-fashion", real, features_of=JUDGE)
    with pytest.raises(InputError, match="holds no images"):
        evaluate("biggan-fashion", tmp_path, features_of=JUDGE)


class TestCards:
    def test_an_expert_gets_a_model_index(self, measured, tmp_path):
        (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# My words\n")
        write_results(tmp_path, measured)
        card = (tmp_path / "README.md").read_text()
        assert card.endswith("---\n# My words\n")
        assert "license: mit\n" in card
        found = index_of(card)
        assert found["name"] == tmp_path.name
        assert {metric["type"] for entry in found["results"] for metric in entry["metrics"]} == set(measured.figures)
        (metric,) = found["results"][0]["metrics"]
        assert metric["args"] == {"features": JUDGE, "samples": 30, "seed": 1}

    def test_a_second_measurement_replaces_its_own_figures_alone(self, measured, tmp_path):
        write_results(tmp_path, measured)
        write_results(tmp_path, replace(measured, features="other:image"))
        write_results(tmp_path, replace(measured, figures={"frechet_distance": 7.0}))
        results = index_of((tmp_path / "README.md").read_text())["results"]
        assert len(results) == 2 * len(measured.figures)
        values = {entry["metrics"][0]["name"]: entry["metrics"][0]["value"] for entry in results}
        assert values[f"frechet_distance ({JUDGE})"] == 7.0
        assert values["frechet_distance (other:image)"] == measured.figures["frechet_distance"]

    def test_a_strangers_index_is_not_lost(self):
        card = "---\nmodel-index:\n- name: theirs\n  results: []\nlicense: mit\n---\nwords\n"
        with pytest.raises(PackageError, match="was not written by dragoman"):
            with_results(card, "mine", [Result("coverage", 1.0, "real", JUDGE)], {})

    def test_results_of_a_package_go_into_its_manifest(self, bundle_copy):
        evaluation = Evaluation({"frechet_distance": 3.5}, JUDGE, "garments", 30, 1)
        before = read_manifest(bundle_copy)
        write_results(bundle_copy, evaluation)
        after = read_manifest(bundle_copy)
        assert after.facts["figures"][f"garments ({JUDGE})"]["frechet_distance"] == 3.5
        assert replace(after, facts=before.facts) == before
        card = (bundle_copy / "README.md").read_text()
        assert '"value": 3.5' in card
        assert JUDGE in card


@pytest.fixture
def bundle_copy(tmp_path):
    import shutil

    from dragoman.stores import locate

    return shutil.copytree(locate("minizoo/text2fashion").folder, tmp_path / "text2fashion")


def test_a_fusion_is_measured_by_its_prompts(real, measured, monkeypatch):
    asked = []

    class Fake:
        facts: ClassVar = {"prompts": ["a bag", "a coat"]}

        def knobs(self):
            return ()

        def sample(self, prompts, n, *, generator, batch_size, knobs):
            asked.append((list(prompts), n))
            return torch.rand(len(prompts) * n, 1, 32, 32, generator=generator)

    monkeypatch.setattr(subject, "load", lambda address, device=None: Fake())
    found = evaluate("some/fusion", real, features_of=JUDGE, metrics=["prdc"], samples=9)
    assert asked[-1] == (["a bag", "a coat"], 5)
    assert found.samples == 9
    assert found.figures["coverage"] < measured.figures["coverage"]
    Fake.facts = {}
    with pytest.raises(InputError, match="names no prompts of its own"):
        evaluate("some/fusion", real, features_of=JUDGE, metrics=["prdc"])
    evaluate("some/fusion", real, features_of=JUDGE, metrics=["prdc"], prompts=["a shirt"])
    assert asked[-1] == (["a shirt"], 30)


class TestSweeps:
    def test_the_curve_of_a_generator_is_that_of_its_single_evaluations(self, real, tmp_path):
        plot = tmp_path / "curve.svg"
        result = CliRunner().invoke(
            command,
            [
                "biggan-fashion",
                "--real",
                str(real),
                "--features",
                JUDGE,
                "--metrics",
                "fid,diversity",
                "--sweep",
                "truncation=0.3,1",
                "--plot",
                str(plot),
                "--json",
            ],
        )
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert [point["value"] for point in found["points"]] == [0.3, 1.0]
        typical, varied = (point["evaluation"]["figures"] for point in found["points"])
        assert typical["frechet_distance"] != varied["frechet_distance"]
        alone = evaluate("biggan-fashion", real, features_of=JUDGE, metrics=["fid"], knobs={"truncation": "0.3"})
        assert alone.figures["frechet_distance"] == pytest.approx(typical["frechet_distance"])
        drawn = ElementTree.fromstring(plot.read_text())
        assert len(drawn.findall("{*}circle")) == 2
        assert "truncation 0.3" in [text.text for text in drawn.findall("{*}text")]

    def test_a_fusion_is_aligned_by_a_critic(self, real):
        found = sweep.sweep(
            "minizoo/text2fashion",
            real,
            "temperature=0.5,8",
            features_of=JUDGE,
            metrics=["diversity"],
            alignment=sweep.Alignment("reader-fashion", "bert:tokens"),
            samples=24,
            prompts=["a dark bag", "a white sandal", "a pair of trousers"],
        )
        wanted, any_class = (point.alignment for point in found.points)
        assert wanted > any_class  # nearly any class does not fit its prompt
        assert found.critic == "reader-fashion"
        assert "alignment by reader-fashion" in curve.svg(found, "diversity")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--sweep", "truncation"], "A sweep is written NAME=VALUE,VALUE"),
            (["--sweep", "truncation=0.3,,1"], "A sweep is written"),
            (["--sweep", "truncation=0.3,2"], "takes 0 to 1, so it cannot be 2"),
            (["--sweep", "guidance=1"], "biggan-fashion has no knob 'guidance'"),
            (["--sweep", "truncation=1", "--knob", "truncation=1"], "it cannot be fixed as well"),
            (["--sweep", "truncation=1", "--plot", "curve.png"], "drawn as .svg, not as 'curve.png'"),
            (["--sweep", "truncation=1", "--critic", "reader-fashion"], "a generator has none"),
            (["--plot", "curve.svg"], "belong to --sweep"),
            (["--sweep", "truncation=1", "--critic-reads", "bert"], "name one with --critic"),
            (["--knob", "guidance=1"], "biggan-fashion has no knob 'guidance'"),
            (["--prompts", "no/such.txt"], "cannot be read as prompts"),
        ],
    )
    def test_mistakes(self, real, options, message):
        result = CliRunner().invoke(
            command, ["biggan-fashion", "--real", str(real), "--features", JUDGE, "--samples", "4", *options]
        )
        assert result.exit_code != 0
        assert message in f"{result.output}{result.exception}"


class TestImageFolder:
    def test_classes_sizes_and_channels(self, tmp_path):
        for place, size, mode in (("b/1.png", (6, 4), "RGB"), ("a/2.png", (8, 8), "L"), ("a/3.jpg", (5, 9), "L")):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            Image.new(mode, size, 100 if mode == "L" else (100, 0, 0)).save(tmp_path / place)
        found = read_images(tmp_path, size=4)
        assert found.images.shape == (3, 3, 4, 4)
        assert (found.labels.tolist(), found.classes) == ([0, 0, 1], ("a", "b"))
        assert found.images[2, 0].unique().tolist() == [100]
        assert read_images(tmp_path, size=4, channels=1).images.shape == (3, 1, 4, 4)
        assert len(read_images(tmp_path, size=4, limit=2).images) == 2
        with pytest.raises(InputError, match="3 different sizes"):
            read_images(tmp_path)
        (tmp_path / "broken.png").write_bytes(b"no image")
        with pytest.raises(InputError, match=r"broken\.png is no readable image"):
            read_images(tmp_path, size=4)

    def test_pictures_are_turned_as_their_camera_says(self, tmp_path):
        pixels = torch.arange(6, dtype=torch.uint8).view(2, 3)
        exif = Image.Exif()
        exif[0x0112] = 6  # rows go down from the right
        Image.fromarray(pixels.numpy()).save(tmp_path / "upright.png", exif=exif)
        assert torch.equal(read_images(tmp_path).images[0, 0], pixels.rot90(-1))


def index_of(card):
    (line,) = [line for line in card.splitlines() if line.startswith("model-index: ")]
    (model,) = json.loads(line.removeprefix("model-index: "))
    return model
