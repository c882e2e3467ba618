"""From captions to a published cascade: trained, saved, read, extended by a stage, sampled with knobs."""

import csv
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import dragoman
from dragoman.errors import InputError, PackageError
from dragoman.fuse import fuse
from dragoman.recipe import Recipe
from dragoman.stores import locate
from dragoman.training.signals import Signals

TINY = {"widths": [8, 16], "layers": [1, 1], "attends": [False, True], "head": 8, "text_width": 8}
FEW = {"num_inference_steps": 2}
TRAINING = {"steps": 2, "batch_size": 4, "checkpoint_every": 1}


@pytest.fixture
def minilm():
    try:
        locate("sentence-transformers/all-MiniLM-L6-v2")
    except PackageError:
        pytest.skip("MiniLM's weights are not on this machine")


def pairs(folder, side):
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["text"])
        table.writeheader()
        table.writerows({"text": text} for text in ("a dark picture", "a bright picture") * 4)
    images = torch.tensor([0.1, 0.9] * 4).view(-1, 1, 1, 1).expand(8, 1, side, side).contiguous()
    save_file({"latents": images}, folder / "latents.safetensors")
    return {"folder": str(folder)}


def trained(tmp_path, side, translator, run=""):
    out = tmp_path / (run or f"run{side}")
    recipe = Recipe(
        source="bert:tokens",
        target=f"pixels=pixels/1x{side}x{side}",
        translator={**translator, **TINY},
        pairs={**pairs(tmp_path / f"pairs-{out.name}", side), "validation": 3},
        training=TRAINING,
    )
    fuse(recipe, out, device="cpu").save_pretrained(out)
    return out


def check_signals(run):
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    told = [line for line in log if "signals.captions.gap" in line]
    assert [line["step"] for line in told] == [1, 2]  # at each checkpoint
    assert {f"signals.loss.{low / 10:.1f}-{(low + 2) / 10:.1f}" for low in range(0, 10, 2)} <= told[0].keys()
    with Image.open(run / "signals" / "step-000002.png") as picture:
        assert picture.width > 9 * 8


def test_a_cascade_is_trained_stage_by_stage_and_published_whole(minilm, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = trained(tmp_path, 8, {"name": "diffusion"})
    check_signals(base)
    whole = trained(tmp_path, 16, {"name": "diffusion-cascade", "base": str(base)})
    first, second = dragoman.load(base), dragoman.load(whole)
    kept = second.translator.stages[0].state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in first.translator.state_dict().items())

    def sample(fusion, **knobs):
        return fusion.sample("a bright picture", 2, generator=torch.Generator().manual_seed(1), **FEW, **knobs)

    assert sample(first).shape == (2, 1, 8, 8)
    assert sample(second).shape == (2, 1, 16, 16)
    assert not torch.equal(sample(first, guidance_scale=4.0), sample(first, guidance_scale=1.0))
    assert not torch.equal(sample(first, negative="a dark picture"), sample(first))
    with pytest.raises(InputError, match="no knob 'guidance'"):
        sample(first, guidance=1.0)


@pytest.mark.parametrize("exchanged", [0, 1])
def test_a_stage_of_a_published_cascade_is_exchanged_and_the_other_kept(exchanged, minilm, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = trained(tmp_path, 8, {"name": "diffusion"})
    whole = trained(tmp_path, 16, {"name": "diffusion-cascade", "base": str(base), "crop": 8})
    options = {"name": "diffusion-cascade", "base": str(whole), "stage": exchanged, "prediction": "sample"}
    other = dragoman.load(trained(tmp_path, 16, options, "other")).translator
    before = dragoman.load(whole).translator
    for position, (old, new) in enumerate(zip(before.stages, other.stages, strict=True)):
        same = all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())
        assert same == (position != exchanged)
    assert other.stages[exchanged].config["prediction"] == "sample"
    assert other.stages[0].config["image"] == [1, 8, 8]
    with pytest.raises(InputError, match="has 2 stages; there is no place 3"):
        trained(tmp_path, 16, {**options, "stage": 3}, "none")


def test_a_stage_that_was_interrupted_goes_on_to_the_same_bits(minilm, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = trained(tmp_path, 8, {"name": "diffusion"})
    recipe = Recipe(
        source="bert:tokens",
        target="pixels=pixels/1x16x16",
        translator={"name": "diffusion-cascade", "base": str(base), **TINY},
        pairs=pairs(tmp_path / "pairs", 16),
        training={**TRAINING, "steps": 3},
    )
    straight = fuse(recipe, tmp_path / "straight", device="cpu").translator.state_dict()

    def interrupted(self, step, weights):
        if step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Signals, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fuse(recipe, tmp_path / "resumed", device="cpu")
    resumed = fuse(recipe, tmp_path / "resumed", device="cpu", resume=True).translator.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
