"""Loss-conditional training around a translator of ``dragoman fuse``: its coefficients are knobs of the fusion."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

import dragoman
import dragoman_registry
import dragoman_yoto
import tiny_zoo
from dragoman import builtin
from dragoman.catalogue import Offer, Plugin
from dragoman.cli.main import main
from dragoman.errors import InputError, TrainingError
from dragoman.fuse import fuse
from dragoman.recipe import Recipe
from tiny_zoo import training

COEFFICIENT = {"loss": "large", "low": 0.01, "high": 100.0, "knob": "smallness"}
TRANSLATOR = {
    "name": "loss-conditional",
    "inner": {"name": "tiny-torn", "width": 24, "dropout": 0.0},
    "coefficients": [COEFFICIENT],
    "normalisation": "none",
    "strength": 1.0,
    "sites": ["layers.*", "!layers.1"],
}


@pytest.fixture(autouse=True)
def zoo(make_zoo):
    yoto = (dragoman_yoto, Plugin("yoto", "dragoman-yoto", "0.1.0"))
    return make_zoo(builtin, dragoman_registry, tiny_zoo, (training, training.plugin()), yoto)


@pytest.fixture
def recipe(tmp_path):
    training.write_experts(tmp_path)

    def make(**changed):
        return Recipe(
            source=f"tiny-text={tmp_path / 'text'}:pooled",
            target=f"tiny-generator={tmp_path / 'generator'}:z",
            translator={**TRANSLATOR, **changed},
            pairs={"captioner": f"tiny-captioner={tmp_path / 'captioner'}", "count": 256},
            training={"steps": 300, "batch_size": 32},
        )

    return make


def test_a_package_requires_the_plugin_of_what_is_wrapped(recipe, tmp_path, monkeypatch):
    made = fuse(recipe(), tmp_path / "run", device="cpu")
    (offer,) = made.translator.offers
    assert offer.card.name == "tiny-torn"
    elsewhere = Offer(offer.card, Plugin("elsewhere", "dragoman-elsewhere", "2.0"))
    monkeypatch.setattr(type(made.translator), "offers", [elsewhere])
    made.save_pretrained(tmp_path / "fusion")
    assert "dragoman-elsewhere>=2.0" in json.loads((tmp_path / "fusion" / "config.json").read_text())["requires"]


def test_the_coefficients_are_knobs_of_the_package_and_of_sampling(recipe, tmp_path):
    out = tmp_path / "fusion"
    fuse(recipe(), out, device="cpu").save_pretrained(out)
    manifest = json.loads((out / "config.json").read_text())
    (knob,) = [one for one in manifest["knobs"] if one["name"] == "smallness"]
    assert (knob["low"], knob["high"], knob["default"], knob["scale"]) == (0.01, 100.0, 1.0, "log")
    fusion = dragoman.load(out)
    condition = fusion.source.expert.encode(["a bright picture", "a dark picture"], "pooled")

    def size(**knobs):
        made = fusion.translator.sample(condition, generator=torch.Generator().manual_seed(0), temperature=0.0, **knobs)
        return float(made.detach().square().sum(1).mean())

    sizes = [size(smallness=value) for value in (0.01, 1.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.3 * sizes[0]
    assert size() == size(smallness=1.0)
    with pytest.raises(InputError, match=r"smallness takes 0.01 to 100"):
        size(smallness=1000.0)


def test_sample_sets_them_by_name(recipe, tmp_path):
    out = tmp_path / "fusion"
    fuse(recipe(), out, device="cpu").save_pretrained(out)

    def sample(name, *options):
        arguments = ["sample", str(out), "a bright picture", "--out", str(tmp_path / name), "--seed", "1", *options]
        return CliRunner().invoke(main, arguments)

    for name, value in (("usual.png", None), ("small.png", "100"), ("large.png", "0.01")):
        result = sample(name, *([] if value is None else ["--knob", f"smallness={value}"]))
        assert result.exit_code == 0, result.output
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in ("usual", "small", "large")}) == 3
    refused = sample("none.png", "--knob", "tallness=1")
    assert refused.exit_code == 1
    assert "no knob 'tallness'" in refused.output
    assert "smallness" in refused.output


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"inner": {}}, InputError, "wraps another translator"),
        ({"coefficients": []}, InputError, "at least one coefficient"),
        ({"coefficients": [{"low": 1}]}, InputError, "does not describe the coefficients"),
        ({"coefficients": [{**COEFFICIENT, "loss": "sharp"}]}, TrainingError, "reports no loss 'sharp'.*far, large"),
        ({"sites": ["nothing"]}, InputError, "No layer matches nothing"),
    ],
)
def test_what_cannot_be_is_refused(changed, error, message, recipe, tmp_path):
    with pytest.raises(error, match=message):
        fuse(recipe(**changed), tmp_path / "fusion", device="cpu")
