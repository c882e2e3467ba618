"""Training by recipe: stages, snapshots, resuming, fine-tuning, publishing."""

import copy
import json

import pytest
import torch
from click.testing import CliRunner

from dragoman.endpoint import load_expert
from dragoman.errors import InputError, PackageError
from dragoman_vision_aided import run as run_module
from dragoman_vision_aided.commands import train
from dragoman_vision_aided.networks import start_of
from dragoman_vision_aided.publishing import save_outcome
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.run import train_gan
from dragoman_vision_aided.snapshots import Snapshots, load_best


@pytest.fixture
def recipe(recipe_of):
    return lambda **tables: GANRecipe.from_dict(recipe_of(**tables))


def train_on_cpu(recipe, out, **options):
    return train_gan(recipe, out, device="cpu", **options)


@pytest.fixture(scope="session")
def progressive(tmp_path_factory, zoo_folder):
    """One finished progressive run: its folder, recipe and outcome."""
    folder = tmp_path_factory.mktemp("progressive")
    bank = [f"stylegan2={zoo_folder / 'one'}:features+pooled", f"stylegan2={zoo_folder / 'two'}:pooled"]
    recipe = GANRecipe.from_dict(
        {
            "data": {"images": str(zoo_folder / "images"), "mirror": True},
            "model": {"configuration": "mini", "resolution": 8, "image_channels": 1},
            "critics": {"bank": bank, "strategy": "progressive", "count": 2, "width": 8, "probe_images": 40},
            "training": {"stages": [0.032, 0.032, 0.032], "batch_size": 8, "snapshot": 0.016},
            "evaluation": {"features": f"stylegan2={zoo_folder / 'judge'}:pooled", "samples": 32},
        }
    )
    return folder, recipe, train_on_cpu(recipe, folder)


def test_progressive_adds_the_best_unused_critic_each_time(progressive):
    _, _, outcome = progressive
    names = [[critic["name"] for critic in record["critics"]] for record in outcome.records]
    assert [len(each) for each in names] == [0, 1, 2]
    first, second = outcome.records[1]["ranking"], outcome.records[2]["ranking"]
    assert {each["name"] for each in first} == {"one", "two"}
    assert names[1] == [first[0]["name"]]
    assert [each["name"] for each in second] == [name for name in ("one", "two") if name not in names[1]]
    assert names[2][0] == names[1][0]


def test_a_wider_discriminator_leaves_the_generator_as_it_is(recipe):
    usual, wide = start_of(recipe(), 0), start_of(recipe(model={"discriminator": [48, 24]}), 0)
    assert usual.discriminator.config.channels == (64, 32)
    assert wide.discriminator.config.channels == (48, 24)
    wanted = usual.generator.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in wide.generator.state_dict().items())
    with pytest.raises(PackageError, match="does not go with 3 numbers of channels"):
        start_of(recipe(model={"discriminator": [48, 24, 12]}), 0)


def test_each_stage_goes_on_from_the_best_snapshot(progressive):
    folder, _, outcome = progressive
    for index in (1, 2):
        before = outcome.records[index - 1]["best"]["images"]
        record = outcome.records[index]
        assert record["since"] == before
        assert record["critics"][-1]["since"] == before
        assert [entry["images"] for entry in record["curve"]] == [before + 16, before + 32]
    distances = [entry["distance"] for record in outcome.records for entry in record["curve"]]
    assert outcome.records[outcome.best]["best"]["distance"] == min(distances)
    assert load_best(folder / "stage-2")["images"] == outcome.records[2]["best"]["images"]


def test_optimisers_are_taken_over(progressive, monkeypatch):
    folder, recipe, outcome = progressive
    state = load_best(folder / "stage-1")
    began = {}

    def stop(self, *, resume, snapshot):
        began.update({name: opt.state_dict()["state"] for name, opt in self.optimizers.items()})
        began["trained"] = {name: value.clone() for name, value in self.method.trained().state_dict().items()}
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Trainer, "run", stop)
    training = run_module.Training(recipe, folder, "cpu")
    with pytest.raises(KeyboardInterrupt):
        training._train(2, folder / "stage-2", {"critics": outcome.records[2]["critics"]}, False)
    for name in ("generator", "discriminator", "critics"):
        assert began[name].keys() == state["optimizers"][name]["state"].keys()
        for key, entry in state["optimizers"][name]["state"].items():
            assert torch.equal(began[name][key]["exp_avg_sq"], entry["exp_avg_sq"])
    for name, value in state["trained"].items():
        assert torch.equal(began["trained"][name], value)
    assert began["trained"].keys() > state["trained"].keys()


def test_the_best_generator_is_returned(progressive):
    folder, _, outcome = progressive
    average = load_best(folder / f"stage-{outcome.best}")["average"]
    for name, value in outcome.expert.generator.state_dict().items():
        assert torch.equal(value, average[name])


def test_the_package_loads_and_says_how_it_was_made(progressive, tmp_path):
    _, recipe, outcome = progressive
    save_outcome(outcome, recipe, tmp_path / "made")
    expert = load_expert("stylegan2", str(tmp_path / "made"))
    w = expert.draw("w", 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(expert.decode(w, "w"), outcome.expert.decode(w, "w"))
    card = (tmp_path / "made" / "README.md").read_text()
    (line,) = [line for line in card.splitlines() if line.startswith("model-index: ")]
    (result,) = json.loads(line.removeprefix("model-index: "))[0]["results"]
    (metric,) = result["metrics"]
    assert metric["value"] == outcome.records[outcome.best]["best"]["distance"]
    assert metric["args"]["features"] == "stylegan2:pooled"
    assert "fid" not in card.lower()
    history = json.loads((tmp_path / "made" / "training.json").read_text())
    assert GANRecipe.from_dict(history["recipe"]) == recipe
    for critic in outcome.records[outcome.best]["critics"]:
        assert f"| {critic['name']} |" in card
        assert f"dragoman:critic:{critic['name']}" in card


@pytest.mark.parametrize(("base", "named"), [("org/cats", True), ("runs/cats/model", False), ("", False)])
def test_the_card_names_a_base_model_of_the_hub(progressive, tmp_path, base, named):
    _, recipe, outcome = progressive
    tuned = copy.copy(outcome)
    tuned.base = base
    save_outcome(tuned, recipe, tmp_path / "made")
    lines = (tmp_path / "made" / "README.md").read_text().splitlines()
    assert (f'base_model: "{base}"' in lines) == ("base_model_relation: finetune" in lines) == named
    assert any(f"trained on from `{base}`" in line for line in lines) == bool(base)


def test_a_killed_run_ends_as_if_it_had_not_been(recipe, progressive, tmp_path, monkeypatch):
    _, _, whole = progressive
    original, killed = Snapshots.__call__, []

    def kill(self, step, weights):
        if self.folder.name == "stage-1" and step == 4 and not killed:
            killed.append(step)
            raise RuntimeError("killed")
        original(self, step, weights)

    monkeypatch.setattr(Snapshots, "__call__", kill)
    with pytest.raises(RuntimeError, match="killed"):
        train_on_cpu(recipe(), tmp_path)
    outcome = train_on_cpu(recipe(), tmp_path, resume=True)
    for one, other in zip(outcome.records, whole.records, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}
    for one, other in zip(outcome.expert.parameters(), whole.expert.parameters(), strict=True):
        assert torch.equal(one, other)


def test_fixed_adds_the_best_of_one_ranking_together(recipe, tmp_path):
    changes = {"strategy": "fixed", "count": 2}
    outcome = train_on_cpu(recipe(critics=changes, training={"stages": [0.016, 0.016]}), tmp_path)
    record = outcome.records[1]
    assert [each["name"] for each in record["critics"]] == [each["name"] for each in record["ranking"]]
    assert outcome.records[0]["critics"] == []


def test_all_critics_take_part_from_the_first_image(recipe, tmp_path):
    changes = {"strategy": "all", "loss": ["hinge", "sigmoid"], "augmentation": "adaptive"}
    outcome = train_on_cpu(recipe(critics=changes, training={"stages": [0.016]}), tmp_path)
    (record,) = outcome.records
    assert [(each["name"], each["loss"]) for each in record["critics"]] == [("one", "hinge"), ("two", "sigmoid")]
    log = [json.loads(line) for line in (tmp_path / "stage-0" / "log.jsonl").read_text().splitlines()]
    assert {"g_fake", "g_one", "g_two", "r1", "path_length"} <= log[-1].keys()


def test_classes_and_a_base(recipe, tiny, zoo_folder, tmp_path):
    base = tiny.stylegan2(5, classes=2)
    base.save_pretrained(tmp_path / "base")
    changes = {
        "data": {"images": str(zoo_folder / "classes")},
        "model": {"conditional": True, "base": str(tmp_path / "base")},
        "critics": {"strategy": "all"},
        "training": {"stages": [0.008], "learning_rate": 1e-9, "snapshot": 0.008},
    }
    outcome = train_on_cpu(recipe(**changes), tmp_path / "run")
    assert outcome.base == str(tmp_path / "base")
    for name, value in outcome.expert.generator.named_parameters():
        torch.testing.assert_close(value, base.generator.state_dict()[name], atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="has classes 2, but the recipe and its data have 0"):
        train_on_cpu(recipe(model={"base": str(tmp_path / "base")}), tmp_path / "other")


def test_the_metric_is_no_critic(recipe, zoo_folder, tmp_path):
    with pytest.raises(InputError, match="is 'two' of the bank; a critic cannot judge"):
        train_on_cpu(recipe(evaluation={"features": f"stylegan2={zoo_folder / 'two'}:pooled"}), tmp_path)


def test_a_run_is_neither_mixed_up_nor_overwritten(recipe, progressive, tmp_path):
    folder, same, _ = progressive
    with pytest.raises(InputError, match="holds a run already"):
        train_on_cpu(same, folder)
    with pytest.raises(InputError, match="holds a run of another recipe"):
        train_on_cpu(recipe(training={"seed": 1}), folder, resume=True)
    with pytest.raises(InputError, match="holds no run to resume"):
        train_on_cpu(same, tmp_path, resume=True)


def test_a_run_older_than_an_entry_of_recipes_is_gone_on_with(recipe, tmp_path):
    whole = recipe(critics={"strategy": "none"}, training={"stages": [0.008]})
    run_module.begin_run(whole, tmp_path)
    stored = json.loads((tmp_path / run_module.RUN).read_text())
    del stored["model"]["discriminator"]
    (tmp_path / run_module.RUN).write_text(json.dumps(stored))
    train_on_cpu(whole, tmp_path, resume=True)


def test_the_command_trains_and_names_the_model(recipe_of, tmp_path):
    tables = recipe_of(critics={"strategy": "none"}, training={"stages": [0.008], "snapshot": 0.008})
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (tmp_path / "recipe.toml").write_text("\n".join(lines))
    arguments = ["gan", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "run"), "--device", "cpu"]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.stdout.strip() == str(tmp_path / "run" / "model")
    assert load_expert("stylegan2", str(tmp_path / "run" / "model")).discriminator is not None
