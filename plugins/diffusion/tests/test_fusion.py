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


def trained(tmp_path, side, translator):
    recipe = Recipe(
        source="bert:tokens",
        target=f"pixels=pixels/1x{side}x{side}",
        translator={**translator, **TINY},
        pairs={**pairs(tmp_path / f"pairs{side}", side), "validation": 3},
        training=TRAINING,
    )
    fusion = fuse(recipe, tmp_path / f"run{side}", device="cpu")
    fusion.save_pretrained(tmp_path / f"run{side}")
    return tmp_path / f"run{side}"


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
