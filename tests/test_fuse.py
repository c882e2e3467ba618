"""``dragoman fuse``: recipes, what cannot be fused, and runs that are killed and come to the same end."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import dragoman
import dragoman_registry
import tiny_zoo
from dragoman import builtin
from dragoman.cli.main import main
from dragoman.errors import InputError, PluginError, PortError, TrainingError, UnknownNameError
from dragoman.fuse import fuse, load_critic
from dragoman.plan import complete
from dragoman.recipe import Recipe
from dragoman.run import Run
from dragoman.training.trainer import Trainer
from tiny_zoo import training
from tiny_zoo.launcher import Launcher

STEPS, SHARD = 40, 32


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def zoo(make_zoo):
    return make_zoo(builtin, dragoman_registry, tiny_zoo, (training, training.plugin()))


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    training.write_experts(folder)
    return folder


@pytest.fixture(scope="module")
def tables(experts):
    """The tables of a recipe that every test may change."""
    return {
        "source": f"tiny-text={experts / 'text'}:pooled",
        "target": f"tiny-generator={experts / 'generator'}:z",
        "translator": {"name": "tiny-learner"},
        "pairs": {"captioner": f"tiny-captioner={experts / 'captioner'}", "count": 100},
        "method": {"name": "tiny-slow", "critic": "tiny-scatter", "critic_samples": 4},
        "training": {"steps": STEPS, "batch_size": 16, "checkpoint_every": 7, "log_every": 1},
    }


@pytest.fixture
def recipe(tables):
    def make(**changed):
        return Recipe.from_dict({**tables, **changed})

    return make


@pytest.fixture(scope="module")
def toml(tables, tmp_path_factory):
    """The same recipe as a file."""

    def text(value):
        return (
            "{" + ", ".join(f"{k} = {text(v)}" for k, v in value.items()) + "}"
            if isinstance(value, dict)
            else json.dumps(value)
        )

    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text("".join(f"{name} = {text(value)}\n" for name, value in tables.items()))
    return path


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    with Launcher(tmp_path_factory.mktemp("launcher")) as found:
        yield found


@pytest.fixture(scope="module")
def finished(launcher, toml, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("finished")
    ended = launcher.run("fuse", toml, "--out", out, TINY_SHARD=SHARD)
    assert (ended.status, ended.stdout) == (0, f"{out / 'model'}\n"), ended.stderr
    return out


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="dragoman")


def weights(out):
    return load_file(out / "model" / "model.safetensors")


def same(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def wait_for(condition, what):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.002)


def logged(out, step=1):
    log = out / "log.jsonl"
    return lambda: log.exists() and log.read_text().count("\n") >= step


class TestKilledRuns:
    """Each in a process of its own, which ends while it works."""

    def test_training_ends_with_the_same_bits_however_often_it_is_killed(self, launcher, toml, finished, tmp_path):
        moment, log = random.Random(), tmp_path / "log.jsonl"
        for kill in range(3):
            before = log.read_text() if log.exists() else ""
            process = launcher.start(
                "fuse", toml, "--out", tmp_path, "--resume", TINY_SHARD=SHARD, TINY_STEP_SECONDS=0.02
            )
            wait_for(lambda before=before: log.exists() and log.read_text() != before, "a step")
            delay = moment.uniform(0, 0.3)
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
            assert launcher.wait().status == -signal.SIGKILL, f"kill {kill} after {delay} s"
        ended = launcher.run("fuse", "--resume", "--out", tmp_path, TINY_SHARD=SHARD)
        assert ended.status == 0, ended.stderr
        assert same(tmp_path, finished)
        assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [*range(1, STEPS + 1)]

    def test_an_interrupt_saves_and_says_how_to_go_on(self, launcher, toml, finished, tmp_path):
        out = tmp_path / "a run"
        process = launcher.start(
            "fuse", toml, "--out", out, "--device", "cpu", TINY_SHARD=SHARD, TINY_STEP_SECONDS=0.05
        )
        wait_for(logged(out, 3), "three steps")
        os.kill(process, signal.SIGINT)
        ended = launcher.wait()
        step = torch.load(out / "checkpoint.pt")["step"]
        assert (ended.status, ended.stdout) == (130, "")
        assert ended.stderr.splitlines()[-1] == (
            f"Interrupted; go on with: dragoman fuse --resume --out '{out}' --device cpu"
        )
        assert 3 <= step < STEPS
        assert json.loads((out / "log.jsonl").read_text().splitlines()[-1])["step"] == step
        ended = launcher.run("fuse", "--resume", "--out", out, "--device", "cpu", TINY_SHARD=SHARD)
        assert ended.status == 0, ended.stderr
        assert same(out, finished)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_making_pairs_loses_no_shard(self, launcher, toml, finished, tmp_path, number):
        process = launcher.start("fuse", toml, "--out", tmp_path, TINY_SHARD=SHARD, TINY_CAPTION_SECONDS=0.3)
        wait_for(lambda: list(tmp_path.glob("pairs/*/00001.safetensors")), "two shards")
        os.kill(process, number)
        ended = launcher.wait()
        assert ended.status == (130 if number == signal.SIGINT else -number)
        if number == signal.SIGINT:
            assert ended.stderr.splitlines()[-1] == f"Interrupted; go on with: dragoman fuse --resume --out {tmp_path}"
        shards = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("0*.safetensors")}
        assert 2 <= len(shards) < 4
        for path in shards:
            assert len(load_file(path)["target"]) == SHARD
        ended = launcher.run("fuse", "--resume", "--out", tmp_path, TINY_SHARD=SHARD)
        assert ended.status == 0, ended.stderr
        assert {path: path.stat().st_mtime_ns for path in shards} == shards
        assert same(tmp_path, finished)

    def test_an_interrupt_that_a_library_has_turned_into_another_error_is_one(self, toml, tmp_path, monkeypatch):
        def carry_out(*_):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise InputError("The pairs are damaged.") from None

        monkeypatch.setattr("dragoman.cli.fuse._carry_out", carry_out)
        before = signal.getsignal(signal.SIGINT)
        result = run("fuse", toml, "--out", tmp_path / "out")
        assert (result.exit_code, result.stderr) == (130, "Interrupted before the work began.\n")
        assert signal.getsignal(signal.SIGINT) == before

    @pytest.mark.parametrize(("steps", "minutes", "taken"), [(3, 60, 3), (10**6, 1e-9, 1)])
    def test_steps_and_minutes_whichever_are_over_first(self, launcher, toml, tmp_path, steps, minutes, taken):
        ended = launcher.run("fuse", toml, "--steps", steps, "--minutes", minutes, "--out", tmp_path, TINY_SHARD=SHARD)
        assert ended.status == 0, ended.stderr
        stored = json.loads((tmp_path / "model" / "config.json").read_text())["recipe"]["training"]
        assert (stored["steps"], "minutes" in stored) == (taken, False)

    def test_minutes_become_steps_that_a_resumed_run_keeps(self, launcher, toml, finished, tmp_path):
        def arguments(out):
            return "fuse", toml, "--minutes", 0.02, "--out", out

        process = launcher.start(*arguments(tmp_path), TINY_SHARD=SHARD, TINY_STEP_SECONDS=0.02)
        wait_for(logged(tmp_path, 2), "two steps")
        os.kill(process, signal.SIGKILL)
        launcher.wait()
        steps = json.loads((tmp_path / "run.json").read_text())["steps"]
        assert 2 <= steps <= 0.02 * 60 / 0.02
        ended = launcher.run(*arguments(tmp_path), "--resume", TINY_SHARD=SHARD)  # would make far more of the minutes
        assert ended.status == 0, ended.stderr
        stored = json.loads((tmp_path / "model" / "config.json").read_text())["recipe"]["training"]
        assert (stored["steps"], "minutes" in stored) == (steps, False)
        assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == steps


class TestRecipes:
    def test_a_package_can_be_made_again_from_itself(self, launcher, finished, tmp_path):
        ended = launcher.run("fuse", finished / "model", "--out", tmp_path, TINY_SHARD=SHARD)
        assert ended.status == 0, ended.stderr
        assert same(tmp_path, finished)
        first, again = (
            json.loads((out / "model" / "config.json").read_text())["recipe"] for out in (finished, tmp_path)
        )
        assert first == again

    def test_a_package_says_everything_that_was_left_to_defaults(self, finished, experts):
        stored = json.loads((finished / "model" / "config.json").read_text())["recipe"]
        assert stored["training"] == {
            "steps": STEPS,
            "batch_size": 16,
            "seed": 0,
            "ema_decay": 0.999,
            "precision": "no",
            "log_every": 1,
            "checkpoint_every": 7,
        }
        assert stored["pairs"] == {
            "captioner": f"tiny-captioner={experts / 'captioner'}",
            "count": 100,
            "seed": 0,
            "spread": 1.0,
            "validation": 0,
        }

    def test_the_fusion_of_a_run_is_that_of_its_package(self, recipe, tmp_path):
        made = fuse(recipe(training={"steps": 3, "batch_size": 8}), tmp_path, device="cpu")
        assert not made.translator.training
        assert made.facts["training"].items() >= {"steps": 3, "pairs": 100}.items()
        made.save_pretrained(tmp_path / "model")
        loaded = dragoman.load(tmp_path / "model")
        assert torch.equal(made.sample("a boot", 3), loaded.sample("a boot", 3))

    def test_options_are_a_recipe(self, experts, tmp_path, monkeypatch):
        carried = {}
        monkeypatch.setattr(
            "dragoman.fuse.fuse", lambda recipe, out, **options: carried.update(recipe=recipe, **options)
        )
        run(
            *("fuse", "--from", "tiny-text:pooled", "--to", "tiny-generator", "--translator", "tiny-learner"),
            *("--captioner", "x", "--count", 50, "--critic", "tiny-scatter", "--ranker", "tiny-brightness"),
            *("--steps", 7, "--seed", 5, "--out", tmp_path),
        )
        assert carried["recipe"] == Recipe(
            source="tiny-text:pooled",
            target="tiny-generator",
            translator={"name": "tiny-learner"},
            pairs={"captioner": "x", "count": 50, "seed": 5},
            method={"name": "paired", "critic": "tiny-scatter"},
            training={"steps": 7, "seed": 5},
            ranker="tiny-brightness",
        )

    def test_training_of_a_recipe_can_be_changed(self, toml, tmp_path, monkeypatch):
        carried = []
        monkeypatch.setattr("dragoman.fuse.fuse", lambda recipe, out, **options: carried.append(recipe))
        run("fuse", toml, "--minutes", 3, "--seed", 9, "--out", tmp_path)
        assert carried[0].training == {"minutes": 3, "seed": 9, "batch_size": 16, "checkpoint_every": 7, "log_every": 1}
        assert carried[0].pairs["seed"] == 9

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--to", "x"], "--from is missing"),
            (["--from", "x"], "--to is missing"),
            (["--from", "x", "--to", "y", "--pairs", ".", "--count", "9"], "nothing is generated; leave out --count"),
            (["RECIPE", "--from", "x"], "leave out --from"),
            (["RECIPE", "--count", "9"], "leave out --count"),
            (["RECIPE", "--translator", "cinn"], "leave out --translator"),
            (["RECIPE", "--ranker", "x"], "leave out --ranker"),
            (["RECIPE", "--device", "abacus"], "'abacus' cannot be used"),
            (["missing.toml"], "missing.toml cannot be read as a recipe: No such file or directory"),
            (["no-such-folder/package"], "no-such-folder/package"),
            (["--resume"], "holds no run to resume; start one without --resume"),
        ],
    )
    def test_contradictions_are_one_sentence(self, toml, tmp_path, arguments, words, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        result = run("fuse", *[toml if each == "RECIPE" else each for each in arguments], "--out", tmp_path / "out")
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert words in result.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("option", [["--steps", "0"], ["--minutes", "0"], ["--count", "1"], ["--seed", "-1"]])
    def test_numbers_out_of_range_are_usage_errors(self, toml, tmp_path, option):
        assert run("fuse", toml, *option, "--out", tmp_path).exit_code == 2

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"extra": 1}, "unknown entry 'extra'"),
            ({"translator": "cinn"}, "'translator' must be a table, not 'cinn'"),
            ({"translator": {}}, "translator has no name"),
            ({"source": 3}, "'source' must be a text, not 3"),
            ({"training": {"steps": float("nan")}}, "neither number, text, list nor table"),
            ({"training": {"step": 3}}, "training has an unknown entry 'step'; known are batch_size, "),
            ({"training": {"minutes": -1}}, "minutes must be a positive number, not -1"),
            ({"training": {"minutes": "2"}}, "minutes must be a positive number, not '2'"),
            ({"training": {"seed": "x"}}, "seed must be a whole number"),
            ({"pairs": {"cuont": 3}}, "pairs has an unknown entry 'cuont'"),
            ({"pairs": {"count": 1.5}}, "count must be a whole number of at least 2, not 1.5"),
            ({"pairs": {"spread": 0}}, "spread must be a positive number, not 0"),
            ({"pairs": {"folder": "x", "count": 3}}, "nothing else to say"),
            ({"pairs": {"folder": "x", "validation": -1}}, "validation must be a whole number of at least 0, not -1"),
            ({"pairs": {"captioner": 3}}, "captioner must be the name of an expert, not 3"),
            (
                {"target": "tiny-image:z", "pairs": {}},
                "No captioner is known for 'tiny-image'; name one with --captioner",
            ),
        ],
    )
    def test_a_recipe_that_says_nonsense_is_one_sentence(self, recipe, changed, words):
        with pytest.raises(InputError, match=words):
            complete(recipe(**changed))

    @pytest.mark.parametrize("missing", ["source", "target", "translator"])
    def test_an_entry_is_missing(self, tables, missing):
        with pytest.raises(InputError, match=f"no entry '{missing}'"):
            Recipe.from_dict({name: value for name, value in tables.items() if name != missing})

    def test_a_file_that_is_no_toml(self, tmp_path):
        path = tmp_path / "recipe.toml"
        path.write_text("source = ")
        with pytest.raises(InputError, match=r"recipe.toml cannot be read as a recipe"):
            Recipe.from_toml(path)

    def test_a_package_without_a_recipe_cannot_be_made_again(self, finished, tmp_path):
        fusion = dragoman.load(finished / "model")
        fusion.facts.pop("recipe")
        fusion.save_pretrained(tmp_path / "package")
        result = run("fuse", tmp_path / "package", "--out", tmp_path / "out")
        assert (result.exit_code, "carries no recipe, so it cannot be made again" in result.stderr) == (1, True)


class TestWhatCannotBeFused:
    """All of it is found before pairs are made."""

    @pytest.fixture
    def refused(self, recipe, tmp_path):
        def check(error, words, **changed):
            with pytest.raises(error, match=words):
                fuse(recipe(**changed), tmp_path / "out", device="cpu")
            assert not (tmp_path / "out").exists()

        return check

    def test_tokens_into_a_translator_of_vectors(self, refused, tables):
        words = (
            r"tiny-learner takes vector and gives vector, so it does not carry tiny-text's tokens \(tokens \[T, 6\]\)"
            r" to tiny-generator's z \(vector \[5\]\); choose other ports"
        )
        refused(PortError, words, source=tables["source"].replace("pooled", "tokens"))

    def test_vectors_into_a_translator_of_tokens(self, refused):
        refused(PortError, "tiny-reader takes tokens and gives vector", translator={"name": "tiny-reader"})

    def test_a_label_is_told_from_the_cards_alone(self, refused, monkeypatch):
        monkeypatch.setattr("dragoman.fuse.Endpoint.load", lambda *_, **__: pytest.fail("an expert was loaded"))
        words = r"does not carry tiny-text's pooled \(vector \[hidden\]\) to tiny-generator's label \(label \[\]\)"
        refused(PortError, words, source="tiny-text=/nowhere", target="tiny-generator=/nowhere:label")

    def test_a_port_that_takes_as_source(self, refused, tables):
        refused(PortError, "'z' of 'tiny-generator' does not give", source=tables["target"])

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"source": "tiny-txt"}, "expert 'tiny-txt'; did you mean 'tiny-text'"),
            ({"translator": {"name": "cin"}}, "translator 'cin'"),
            ({"method": {"name": "pared"}}, "method 'pared'; did you mean 'paired'"),
            ({"method": {"critic": "nobody"}}, "critic 'nobody'"),
            ({"ranker": "nobody"}, "critic 'nobody'"),
            ({"pairs": {"captioner": "nobody"}}, "expert 'nobody'"),
        ],
    )
    def test_unknown_names(self, refused, changed, words):
        refused(UnknownNameError, words, **changed)

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"translator": {"name": "tiny-learner", "size": 3}}, "'tiny-learner' does not take these options.*'size'"),
            ({"method": {"critics": 3}}, "'paired' does not take these options.*'critics'"),
            ({"method": {"critic": "tiny-judge"}}, "Critic 'tiny-judge' has no default checkpoint"),
            ({"pairs": {"folder": "/nowhere"}}, r"/nowhere/metadata.csv does not exist"),
        ],
    )
    def test_options_that_nobody_takes(self, refused, changed, words):
        refused(InputError, words, **changed)

    def test_a_source_that_does_not_read(self, refused, experts):
        refused(InputError, "'tiny-eye' does not encode texts", source=f"tiny-eye={experts / 'eye'}")

    def test_a_broken_plugin(self, refused, zoo):
        zoo.translators.offers[-1].plugin.mark("broken", "it does not import")
        with pytest.raises(PluginError, match="Plugins that cannot be used now: tiny-training"):
            zoo.translators.find("nobody")

    def test_a_mistake_leaves_an_earlier_run_alone(self, recipe, finished, tmp_path, monkeypatch):
        before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
        for changed in ({"ranker": "nobody"}, {"pairs": {"folder": "/nowhere"}}, {"sampling": {"speed": 1}}):
            with pytest.raises((UnknownNameError, InputError)):
                fuse(recipe(**changed), finished, device="cpu")
        assert {path: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


class TestOwnPairs:
    def test_train_a_translator_of_sequences_and_rank(self, recipe, tables, tmp_path):
        own = tmp_path / "own"
        own.mkdir()
        (own / "metadata.csv").write_text("text\n" + "".join(f"text {number}\n" for number in range(20)))
        save_file(
            {"latents": torch.randn(20, 5, generator=torch.Generator().manual_seed(0))}, own / "latents.safetensors"
        )
        made = fuse(
            recipe(
                source=tables["source"].replace("pooled", "tokens"),
                translator={"name": "tiny-reader", "width": 4},
                pairs={"folder": str(own)},
                method={},
                training={"steps": 3, "batch_size": 8},
                ranker="tiny-brightness",
                sampling={"candidates": 3},
            ),
            tmp_path / "out",
            device="cpu",
        )
        made.save_pretrained(tmp_path / "model")
        loaded = dragoman.load(tmp_path / "model")
        images = loaded.sample(["a boot", "a longer text"], 2)
        assert images.shape == (4, 3, 8, 8)
        assert torch.equal(images, made.sample(["a boot", "a longer text"], 2, candidates=3))
        assert made.facts["recipe"]["pairs"] == {"folder": str(own), "validation": 0}


class TestResuming:
    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"training": {"steps": 50}}, "a run with training.steps 40, not 50"),
            ({"training": {"steps": 40, "seed": 4}}, "a run with training.batch_size 16, not None"),
            ({"ranker": "tiny-brightness"}, "a run with ranker '', not 'tiny-brightness'"),
            ({"pairs": {"count": 7}}, "a run with pairs.captioner"),
        ],
    )
    def test_another_recipe_is_one_sentence(self, finished, recipe, changed, words):
        with pytest.raises(InputError, match=f"{words}.*; resume with the same options"):
            fuse(recipe(**changed), finished, device="cpu", resume=True)

    def test_another_seed_is_one_sentence(self, finished, toml):
        result = run("fuse", toml, "--seed", 3, "--resume", "--out", finished)
        assert result.exit_code == 1
        assert "holds a run with pairs.seed None, not 3; resume with the same options" in result.stderr

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"recipe": 3, "steps": 1}'])
    def test_a_damaged_record_is_one_sentence(self, tmp_path, content):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(InputError, match=r"run.json is damaged; start again without --resume"):
            Run(tmp_path).recipe()

    def test_a_folder_without_a_run_begins_one(self, recipe, tmp_path):
        made = fuse(recipe(training={"steps": 1, "batch_size": 4}), tmp_path, device="cpu", resume=True)
        assert made.facts["training"]["steps"] == 1
        assert Run(tmp_path).recipe() == recipe(training={"steps": 1, "batch_size": 4})

    def test_a_new_run_takes_no_checkpoint_of_an_old_one(self, recipe, tmp_path, monkeypatch):
        short = {"steps": 2, "batch_size": 4}
        first = fuse(recipe(training=short), tmp_path, device="cpu")
        other = recipe(training=short, method={"learning_rate": 0.1})

        def killed(self, *, resume, snapshot):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "run", killed)
            with pytest.raises(SystemExit):
                fuse(other, tmp_path, device="cpu")
        again = fuse(other, tmp_path, device="cpu", resume=True)
        assert not torch.equal(again.translator.layers[0].weight, first.translator.layers[0].weight)
        whole = fuse(other, tmp_path / "whole", device="cpu")
        assert torch.equal(again.translator.layers[0].weight, whole.translator.layers[0].weight)

    def test_a_damaged_checkpoint_is_one_sentence(self, recipe, tmp_path):
        short = recipe(training={"steps": 2, "batch_size": 4})
        fuse(short, tmp_path, device="cpu")
        (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
        with pytest.raises(TrainingError, match="is damaged and cannot be resumed"):
            fuse(short, tmp_path, device="cpu", resume=True)

    def test_a_full_disk_is_one_sentence_before_the_work(self, recipe, tmp_path):
        (tmp_path / "run.json.part").symlink_to("/dev/full")
        with pytest.raises(InputError, match=r"run.json cannot be written: No space left on device"):
            fuse(recipe(), tmp_path, device="cpu")

    def test_an_interrupt_before_the_work_says_so(self, toml, tmp_path, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("dragoman.fuse.fuse", interrupted)
        result = run("fuse", toml, "--out", tmp_path)
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted before the work began.\n")


def test_a_critic_by_name_is_ready_to_judge():
    critic = load_critic("tiny-scatter", "cpu")
    assert not critic.training
