"""Knobs: what they take, how they are written, and that they survive JSON."""

from __future__ import annotations

import json

import pytest

from dragoman.cli.sweep import read_sweeps
from dragoman.errors import InputError
from dragoman.knobs import Knob, read_knobs, split_knobs, split_sweep

LAMBDA = Knob("lambda", 0.01, 0.001, 0.1, scale="log")
STEPS = Knob("steps", 8, 1, kind="whole", staged=True)
SAMPLER = Knob("sampler", "ddim", kind="choice", choices=("ddim", "edm"))
NEGATIVE = Knob("negative", kind="text")
ALL = (LAMBDA, STEPS, SAMPLER, NEGATIVE)


@pytest.mark.parametrize("knob", ALL, ids=lambda knob: knob.name)
def test_survives_json(knob):
    assert Knob.from_dict(json.loads(json.dumps(knob.to_dict(), allow_nan=False))) == knob


def test_is_written_as_name_and_value():
    pairs = split_knobs(["lambda=2e-2", "steps=4,8", "sampler=edm", "negative=a=b, c"])
    expected = {"lambda": 0.02, "steps": [4, 8], "sampler": "edm", "negative": "a=b, c"}
    assert read_knobs(pairs, ALL, "it") == expected
    assert read_knobs({"steps": "4"}, ALL, "it") == {"steps": 4}


def test_a_limit_that_was_rounded_when_written_is_inside():
    knob = Knob("beta", 1.0, 0.125, 10**0.5)
    assert knob.read(f"{knob.high:g}") <= knob.high


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"lambda": "1"}, "lambda takes 0.001 to 0.1, so it cannot be 1"),
        ({"lambda": "0.01,0.02"}, "lambda takes 0.001 to 0.1"),
        ({"lambda": "inf"}, "cannot be inf"),
        ({"steps": "1.5"}, "steps takes a whole number, at least 1, so it cannot be '1.5'"),
        ({"steps": "4,0"}, "so it cannot be 0"),
        ({"sampler": "plms"}, "sampler takes ddim or edm, so it cannot be 'plms'"),
        ({"speed": "1"}, "it has no knob 'speed'; its knobs are lambda .0.001 to 0.1., steps"),
    ],
)
def test_what_cannot_be_is_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        read_knobs(pairs, ALL, "it")


def test_of_a_model_without_any():
    with pytest.raises(InputError, match="minizoo/judge has no knob 'a'; it has none"):
        read_knobs({"a": "1"}, (), "minizoo/judge")


@pytest.mark.parametrize(
    "data",
    [{}, {"name": "a", "speed": 1}, {"name": "a", "kind": "colour"}, {"name": "a", "low": 2, "high": 1}, {"name": ""}],
)
def test_data_that_describes_none(data):
    with pytest.raises(InputError, match="does not describe a knob"):
        Knob.from_dict(data)


@pytest.mark.parametrize("text", ["lambda", "=1,2", "lambda=", "lambda=0.01,,0.02"])
def test_a_sweep_needs_a_name_and_whole_values(text):
    with pytest.raises(InputError, match="written NAME=VALUE,VALUE"):
        split_sweep(text)


def test_a_sheet_has_a_row_for_each_value_of_its_first_knob():
    sheet = read_sweeps(["steps=2,4", "lambda=0.01,0.02,0.03"], ALL, "it")
    assert (len(sheet.settings), len(sheet.rows), sheet.columns) == (6, 2, 3)


def test_a_knob_is_swept_once():
    with pytest.raises(InputError, match="steps was swept twice"):
        read_sweeps(["steps=2,4", "steps=8"], ALL, "it")
