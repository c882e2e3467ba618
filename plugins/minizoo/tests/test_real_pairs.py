"""Captions of real images, as pairs for a translator that makes pixels, and the comparison of fusions."""

import json
import re

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.pairs import FilePairs
from dragoman.recipe import Recipe
from dragoman_minizoo import compare
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.data import Labelled
from dragoman_minizoo.evaluating import held_out_prompts
from dragoman_minizoo.judging import reference_images
from dragoman_minizoo.real_pairs import caption, write_pairs
from dragoman_minizoo.train import RECIPES
from dragoman_minizoo.vocabulary import HELD_OUT, TRAINING


@pytest.fixture(scope="module")
def data():
    real = reference_images()
    return Labelled(real.images[::10], real.labels[::10])


@pytest.fixture(scope="module")
def captioner():
    return load_expert("captioner-fashion")


def test_captions_name_the_true_class_in_training_words(data, captioner):
    said = caption(data, captioner, 0)
    for text, label in zip(said, data.labels.tolist(), strict=True):
        assert not text or any(noun in text for noun in TRAINING.nouns[label])
    held_out = [word for words in HELD_OUT.adjectives for level in words for word in level]
    held_out += [template.replace("{}", "").strip(" ,?") for template in HELD_OUT.templates]
    assert not [text for text in said for word in held_out if re.search(rf"\b{re.escape(word)}\b", text)]
    assert said == caption(data, captioner, 0) != caption(data, captioner, 1)


def test_what_is_not_clear_gets_no_caption(data, captioner):
    look = captioner.look(data.images.float() / 255)
    clear = look.sure & (look.labels == data.labels)
    assert [bool(text) for text in caption(data, captioner, 0)] == clear.tolist()
    assert 0.5 < clear.float().mean() < 0.95


def test_captions_mention_what_is_measured(data, captioner):
    seen = levels(measure(data.images.float() / 255), data.labels, captioner.boundaries)
    dark, bright = (
        sum(text.startswith(f"a {word}") or f" {word} " in text for text in texts)
        for texts, word in (
            ([text for text, row in zip(caption(data, captioner, 0), seen, strict=True) if row[0] == level], word)
            for level, word in ((2, "black"), (0, "white"))
        )
    )
    assert dark == bright == 0


@pytest.mark.parametrize("side", [16, 32])
def test_pairs_are_what_a_recipe_takes(data, captioner, side, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clear = [row for row, text in enumerate(caption(data, captioner, 0)) if text]
    few = Labelled(data.images[clear[:12]], data.labels[clear[:12]])
    write_pairs(few, side, 0, tmp_path / "pairs")
    images = load_file(tmp_path / "pairs" / "latents.safetensors")["latents"].float()
    assert images.shape == (12, 1, side, side)
    torch.testing.assert_close(
        images.mean(dim=(1, 2, 3)), few.images.float().mean(dim=(1, 2, 3)) / 255, atol=0.01, rtol=0.05
    )
    source = Endpoint.load(EndpointSpec.parse("bert:tokens"), giving=True)
    target = Endpoint.load(EndpointSpec.parse(f"pixels=pixels/1x{side}x{side}"), giving=False)
    assert len(FilePairs(tmp_path / "pairs", source, target)) == 12


@pytest.mark.parametrize("name", ["text2fashion-diffusion-16", "text2fashion-diffusion"])
def test_recipes_can_be_read(name):
    recipe = Recipe.from_toml(RECIPES / f"{name}.toml")
    assert recipe.pairs["validation"] > 0
    assert recipe.source == "bert:hidden.4"


def test_fusions_are_compared_on_the_same_captions():
    result = CliRunner().invoke(
        compare.main, ["minizoo/text2fashion", "--prompts", "20", "--knob", "temperature=0.5", "--knob", "sampler=ddim"]
    )
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout).values()
    assert found["knobs"] == {"temperature": 0.5}  # it has no sampler
    assert found["templates"]["class_accuracy"] > 0.8
    assert found["cpu_ms_per_image"] > 0


def test_settings_can_be_chosen_on_captions_that_are_not_reported():
    reported, others = held_out_prompts(20), held_out_prompts(20, 1)
    assert not {caption for each in reported.values() for caption in each.captions} & {
        caption for each in others.values() for caption in each.captions
    }
