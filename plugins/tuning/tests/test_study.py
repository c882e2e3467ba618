"""The parts of the study that can be wrong without anybody noticing."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("dragoman_minizoo")

from dragoman_minizoo.data import LABELS
from dragoman_tuning.study.damage import destroy, with_embedding
from dragoman_tuning.study.eight import HELD_OUT, SEEN
from dragoman_tuning.study.report import pictures, table
from dragoman_tuning.study.tasks import ALONE, _objective


def test_a_generator_is_damaged_in_a_copy(gan):
    before = gan.atoms("class_embedding").values
    damaged = with_embedding(gan, 3, destroy(gan, 3, 0))
    after = damaged.atoms("class_embedding").values
    assert torch.equal(gan.atoms("class_embedding").values, before)
    assert (after != before).any(dim=1).tolist() == [row == 3 for row in range(10)]


def test_no_class_is_both_seen_and_held_out():
    assert sorted([*SEEN, *HELD_OUT]) == sorted(LABELS)


def test_the_ablation_differs_in_the_region_alone():
    with_region, without = (_objective("repurpose", preset) for preset in ("recognised", ALONE))
    assert with_region == replace(without, region=True)


def test_the_table_has_one_line_for_each_method_with_its_spread():
    figures = {"guide_accuracy": 1.0, "judge_accuracy": 0.5, "diversity": 2.0}
    rows = [{"class": "bag", "method": "prior", **figures, "frechet": value} for value in (1.0, 3.0)]
    lines = table([*rows, {"class": "bag", "method": "original", **figures, "frechet": 7.0}]).splitlines()
    assert lines[2].endswith("2.000 ± 1.414 |")
    assert lines[3] == "| bag | original | 1.000 | 0.500 | 2.000 | 7.000 |"


def test_pictures_stand_in_labelled_rows(tmp_path):
    pictures({"a": torch.rand(3, 1, 8, 8), "b": torch.rand(4, 1, 8, 8)}, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
