"""Recipes: what is shipped was made by them, and each leaves a checkpoint that its expert reads."""

import json
import tomllib

import pytest
import torch

from dragoman.endpoint import load_expert
from dragoman.training.settings import Settings
from dragoman_minizoo import train
from dragoman_minizoo.judging import reference_images
from dragoman_minizoo.store import MODELS
from dragoman_minizoo.trainers import backbones, choosing, generators, pairs
from dragoman_minizoo.trainers.choosing import Choice
from dragoman_minizoo.trainers.running import accuracy, labels_of


def recipe_of(name):
    return tomllib.loads((train.RECIPES / f"{name}.toml").read_text(encoding="utf-8"))


RECIPES = {path.stem: recipe_of(path.stem) for path in train.RECIPES.glob("*.toml")}
OWN = sorted(name for name, recipe in RECIPES.items() if "kind" in recipe)


def contains(whole, part):
    """Whether a configuration has the entries of another one, however deep."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    return whole == part


@pytest.mark.parametrize("name", OWN)
def test_every_recipe_can_be_followed_and_its_model_is_shipped(name):
    recipe = RECIPES[name]
    assert recipe["kind"] in train.KINDS
    assert Settings(**recipe["training"]).steps > 0
    assert (MODELS / name / "model.safetensors").is_file()


@pytest.mark.parametrize("name", [name for name in OWN if RECIPES[name]["kind"] == "timm"])
def test_the_shipped_backbones_are_those_of_their_recipes(name):
    assert json.loads((MODELS / name / "config.json").read_text()) == RECIPES[name]["config"]


def test_the_shipped_stylegan2_is_that_of_its_recipe():
    config, recipe = json.loads((MODELS / "stylegan2-fashion/config.json").read_text()), RECIPES["stylegan2-fashion"]
    for network in ("generator", "discriminator"):
        assert contains(config[network], recipe["config"] | recipe[network])


def test_the_shipped_pair_is_that_of_its_recipe():
    config, recipe = json.loads((MODELS / "clip-fashion/config.json").read_text()), RECIPES["clip-fashion"]
    towers = {"vision_config": recipe["vision"], "text_config": recipe["text"]}
    assert contains(config, towers | {"projection_dim": recipe["projection_dim"]})
    preprocessor = json.loads((MODELS / "clip-fashion/preprocessor_config.json").read_text())
    assert contains(preprocessor, recipe["preprocessor"])


@pytest.fixture
def follow(monkeypatch, tmp_path):
    """Follow a recipe for two steps of eight, on the images that come with the mini zoo."""
    data = reference_images()
    for module in (backbones, choosing, generators, pairs):
        monkeypatch.setattr(module, "fashion_mnist", lambda split: data)
    for module in (choosing, generators):
        monkeypatch.setattr(module, "SAMPLES", 200)

    def run(name, **changes):
        recipe = RECIPES[name] | changes
        recipe |= {"training": recipe["training"] | {"steps": 2, "batch_size": 8, "precision": "no"}}
        torch.manual_seed(0)
        train.KINDS[recipe["kind"]](recipe, tmp_path, False)
        return load_expert(name, str(tmp_path / "model"))

    return run


@pytest.mark.parametrize("name", ["swin-fashion", "vgg-fashion"])
def test_backbones(follow, name):
    expert = follow(name)
    assert set(expert.ports) == set(load_expert(name).ports)
    assert 0 <= accuracy(labels_of(expert), reference_images()) < 0.5


def test_the_pair_has_a_tokenizer_of_its_captions(follow):
    expert = follow("clip-fashion", tokenizer=RECIPES["clip-fashion"]["tokenizer"] | {"captions": 500, "size": 400})
    assert len(expert.tokenizer) == 400
    assert len(expert.tokenizer.tokenize("a")) == 1
    assert expert.encode(["a dark coat"], "text").shape == (1, 64)


def test_biggan_goes_on_from_the_game_by_matching(follow, capsys, tmp_path):
    matching = RECIPES["biggan-fashion"]["matching"]
    matching = matching | {"training": matching["training"] | {"steps": 2, "batch_size": 20, "precision": "no"}}
    expert = follow("biggan-fashion", matching=matching)
    assert capsys.readouterr().err.count("step 2: Frechet distance to validation") == 2
    before, after = (load_expert("biggan-fashion", str(tmp_path / run / "model")) for run in ("game", "."))
    assert not torch.equal(before.network.shared.weight, after.network.shared.weight)
    assert expert.decode(torch.tensor([3]), "label", generator=torch.Generator().manual_seed(0)).shape == (1, 1, 32, 32)


def test_stylegan2_keeps_the_discriminator_too(follow, capsys):
    expert = follow("stylegan2-fashion")
    assert "step 2: Frechet distance to validation" in capsys.readouterr().err
    assert expert.decode(torch.tensor([3]), "label", generator=torch.Generator().manual_seed(0)).shape == (1, 1, 32, 32)
    assert expert.encode(torch.rand(2, 1, 32, 32), "features").shape == (2, 96, 4, 4)


def test_the_closest_snapshot_is_kept_over_a_resume(monkeypatch, tmp_path, capsys):
    data = reference_images()
    monkeypatch.setattr(choosing, "fashion_mnist", lambda split: data)
    real, kept = data.images.float() / 255, []

    class Snapshot(torch.nn.Module):
        def save_pretrained(self, folder):
            kept.append(folder.name)

    def sample(weights):
        return Snapshot(), (real + weights["noise"] * torch.rand(real.shape)).clamp(0, 1)

    eye = load_expert("captioner-fashion")
    choice = Choice(sample, tmp_path, eye, resume=False)
    for step, noise in ((1, 0.4), (2, 0.1), (3, 0.4)):
        choice(step, {"noise": noise})
    again = Choice(sample, tmp_path, eye, resume=True)
    again(4, {"noise": 0.3})
    again(5, {"noise": 0.0})
    assert kept == ["step-1", "model", "step-2", "model", "step-3", "step-4", "step-5", "model"]
    assert capsys.readouterr().err.count("(best)") == 3
