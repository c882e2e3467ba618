"""The parts of the study that can be wrong without anybody noticing."""

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

pytest.importorskip("dragoman_minizoo")
pytest.importorskip("dragoman_timm")
pytest.importorskip("manimgx_fonts")

from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman_minizoo.data import Labelled
from dragoman_minizoo.judging import reference_images
from dragoman_vision_aided.study.__main__ import VARIANTS, recipe_for, seen_in_all, share_first_stage
from dragoman_vision_aided.study.chart import curves, rankings
from dragoman_vision_aided.study.judging import tabulate
from dragoman_vision_aided.study.overfitting import overfitting
from dragoman_vision_aided.study.pictograms import _pictograms
from dragoman_vision_aided.study.pictures import stacked
from dragoman_vision_aided.study.procedural import TASKS, make
from dragoman_vision_aided.study.witness import halves, train_witness


@pytest.mark.parametrize("task", TASKS)
def test_drawn_images_follow_from_their_seed(task):
    one, same, other = (make(task, 8, seed) for seed in (0, 0, 1))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (8, 1, 32, 32)
    assert one.images.float().std() > 10


def test_no_pictogram_is_a_garment():
    assert len(set(_pictograms())) == TASKS["pictograms"][0]
    assert not {"\U0001f455", "\U0001f457", "\U0001f45f", "\U0001f462", "\U0001f45c"} & set(_pictograms())


def test_images_of_all_stages_are_counted():
    stages = [
        {"since": 0, "curve": [{"images": 10, "distance": 3.0}, {"images": 20, "distance": 4.0}]},
        {"since": 10, "curve": [{"images": 20, "distance": 2.0}]},
    ]
    assert seen_in_all(stages) == [(10, 3.0), (20, 4.0), (30, 2.0)]


def test_all_variants_see_equally_many_images_and_critics_come_early(tmp_path):
    member = SimpleNamespace(spec="vgg-fashion")
    bench = SimpleNamespace(out=tmp_path, banks={"drawn": [member] * 3, "zoo": [member] * 3})
    plan = {"kimg": 80, "critics": 3, "snapshots": 8, "samples": 10}
    stages = {name: recipe_for(bench, name, 0, **plan).training.stages for name in VARIANTS}
    assert {sum(each) for each in stages.values()} == {80}
    assert stages["plain"] == (80,)
    assert stages["fixed"] == (10, 70)
    assert stages["progressive-zoo"] == (10, 10, 10, 50)


def test_the_weight_is_that_of_the_zoos_critics_alone(tmp_path):
    member = SimpleNamespace(spec="vgg-fashion")
    bench = SimpleNamespace(out=tmp_path, banks={"drawn": [member], "zoo": [member]})
    plan = {"kimg": 80, "critics": 1, "snapshots": 8, "samples": 10, "weight": 2.0}
    weights = {name: recipe_for(bench, name, 0, **plan).critics.weight for name in VARIANTS}
    assert {name for name, weight in weights.items() if weight == 2} == {name for name in VARIANTS if "zoo" in name}


def test_only_a_finished_stage_of_the_same_augmentation_is_shared(tmp_path):
    for name, record in (("fixed-0", {"best": {}}), ("fixed-zoo+diffaugment-0", {}), ("plain-0", {"best": {}})):
        (tmp_path / name / "stage-0").mkdir(parents=True)
        (tmp_path / name / "stage-0" / "stage.json").write_text(json.dumps(record | {"of": name}))
    for variant in VARIANTS:
        share_first_stage(tmp_path, variant, 0, tmp_path / "new" / variant)
    found = {path.parent.parent.name for path in (tmp_path / "new").rglob("stage.json")}
    assert found == {"progressive", "fixed-zoo", "progressive-zoo"}


def finished(variant, distances, curve, **of):
    """What the study writes down about a run, with one probe for each entry of ``critics``."""
    probed = [{"name": name, "mean": 0.9 - 0.1 * len(of["critics"]), "std": 0.0} for name in "ab"]
    common = {"seed": 0, "best_at": 20, "seconds": 1.0, "overfitting": 0.1, "probes": [probed] * len(of["critics"])}
    return {**common, "variant": variant, "distances": {"judge": distances}, "curve": curve, **of}


RUNS = [
    finished("plain", 6.0, [(10, 4.0), (20, 2.0)], critics=[[]]),
    finished("progressive", 4.0, [(10, 3.0), (20, 5.0)], critics=[[], ["b"]]),
    finished("plain", 3.0, [(10, 4.0), (20, 2.0)], critics=[[]], seed=1),
    finished("progressive", 3.0, [(10, 3.0), (20, 5.0)], critics=[[], ["a"]], seed=1),
    finished("progressive-zoo+diffaugment", 1.0, [(10, 3.0)], critics=[[], ["a"]], seed=1),
]


def test_charts_are_svg_with_a_line_for_each():
    for drawn, lines in ((curves(RUNS), 3), (rankings(RUNS), 2)):
        root = ElementTree.fromstring(drawn)
        assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == lines


def test_ratios_are_of_runs_with_the_same_seed_and_augmentation():
    lines = tabulate(RUNS).splitlines()
    assert "| progressive | plain | 1.25 (1.50, 1.00) |" in lines
    assert not any(line.startswith("| progressive-zoo+diffaugment | plain") for line in lines)


def test_overfitting_is_where_unseen_images_lie_between_training_ones_and_generated_ones():
    known, other, fake = (torch.full((16, 1, 8, 8), grey, dtype=torch.uint8) for grey in (200, 150, 100))

    def brightness(images):
        return images.mean(dim=(1, 2, 3))

    assert overfitting(brightness, known, other, fake) == pytest.approx(0.5)
    assert overfitting(brightness, known, known, fake) == 0


def test_pictures_stand_one_above_the_other(tmp_path):
    for name, grey in (("a", 0), ("b", 255)):
        Image.new("L", (200, 80), grey).save(tmp_path / f"{name}.png")
    sheet = stacked({name: tmp_path / f"{name}.png" for name in "ab"})
    assert sheet.size == (200, 120)
    assert (sheet.getpixel((100, 40)), sheet.getpixel((100, 100))) == (0, 255)


def test_the_table_of_probes_marks_critics():
    assert "| progressive | 1 | 1 | **0.700** | 0.700 |" in tabulate(RUNS).splitlines()


def test_the_witness_sees_no_image_that_is_compared(tmp_path):
    real = Labelled(*(column[::20] for column in reference_images()))
    numbered = Labelled(torch.arange(100), real.labels)
    compared, others = halves(numbered, 60)
    assert sorted([*compared.images.tolist(), *others.images.tolist()]) == list(range(100))
    assert len(compared.images) == 60
    assert torch.equal(halves(numbered, 60)[1].images, others.images)
    spec = train_witness(*halves(real, 60)[::-1], tmp_path / "witness", steps=2)
    features = Endpoint.load(EndpointSpec.parse(spec), giving=True).encode(real.images[:3].float() / 255)
    assert features.shape == (3, 128)
    written = (tmp_path / "witness" / "model.safetensors").stat().st_mtime_ns
    assert train_witness(*halves(real, 60)[::-1], tmp_path / "witness", steps=2) == spec
    assert (tmp_path / "witness" / "model.safetensors").stat().st_mtime_ns == written
