"""The trainer: exact resume, checkpoints, budgets, and everything that can go wrong on the way."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import torch

from dragoman.errors import InputError, TrainingError
from dragoman.representation import Tokens
from dragoman.training import Losses, Trainer
from dragoman.training.interrupt import interruptible
from dragoman.training.precision import uses_bfloat16
from dragoman.training.trainer import move
from tiny_runs import SIZE, Adversarial, Regression, equal, killed_run, lines, settings, trainer, weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder, weights and result of a run that nothing interrupted."""
    folder, method = tmp_path_factory.mktemp("finished"), Regression()
    result = trainer(folder, method).run()
    return folder, weights(method.network), result


class TestResume:
    @pytest.mark.parametrize("call", [4, 7, 10, 11])
    def test_ends_with_the_same_bits(self, tmp_path, finished, call):
        killed_run(tmp_path, call)
        method = Regression(seed=5)  # all of it has to come from the checkpoint
        result = trainer(tmp_path, method).run(resume=True)
        folder, expected, uninterrupted = finished
        assert equal(weights(method.network), expected)
        assert (result.steps, result.losses) == (12, uninterrupted.losses)
        first, second = (torch.load(path / "checkpoint.pt") for path in (folder, tmp_path))
        assert equal({**first, "seconds": 0}, {**second, "seconds": 0})

    def test_of_a_finished_run_gives_its_result_again(self, tmp_path, finished):
        method = Regression()
        trainer(tmp_path, method).run()
        again = Regression(seed=5)
        result = trainer(tmp_path, again).run(resume=True)
        assert equal(weights(again.network), finished[1])
        assert result.losses == finished[2].losses

    def test_the_seed_decides(self, tmp_path, finished):
        method = Regression()
        trainer(tmp_path, method, seed=1).run()
        assert not equal(weights(method.network), finished[1])

    def test_the_global_generator_neither_matters_nor_moves(self, tmp_path, finished):
        with torch.random.fork_rng():
            torch.manual_seed(123)
            before, method = torch.get_rng_state(), Regression()
            trainer(tmp_path, method).run()
            assert torch.equal(torch.get_rng_state(), before)
        assert equal(weights(method.network), finished[1])

    def test_an_interrupt_finishes_the_step_and_saves(self, tmp_path, finished):
        method = Regression()
        method.before = lambda call: os.kill(os.getpid(), signal.SIGINT) if call == 5 else None
        with pytest.raises(KeyboardInterrupt):
            trainer(tmp_path, method).run()
        assert torch.load(tmp_path / "checkpoint.pt")["step"] == 6
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        method = Regression(seed=5)
        trainer(tmp_path, method).run(resume=True)
        assert equal(weights(method.network), finished[1])

    def test_the_log_goes_on_where_the_checkpoint_stands(self, tmp_path, finished):
        killed_run(tmp_path)
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write('{"step": 11, "squ')
        assert [line["step"] for line in lines(finished[0])] == list(range(1, 13))
        trainer(tmp_path).run(resume=True)
        strip = [{**line, "seconds": 0} for line in lines(tmp_path)]
        assert strip == [{**line, "seconds": 0} for line in lines(finished[0])]

    def test_a_new_run_forgets_the_old_one(self, tmp_path):
        trainer(tmp_path).run()
        killed_run(tmp_path, call=2)
        assert [line["step"] for line in lines(tmp_path)] == [1, 2]
        with pytest.raises(TrainingError, match=r"no checkpoint at .*; start without --resume"):
            trainer(tmp_path).run(resume=True)

    def test_a_snapshot_that_was_prevented_is_taken_again(self, tmp_path):
        taken: list[int] = []

        def snapshot(step: int, shadow: Any) -> None:
            if step == 8 and 8 not in taken:
                taken.append(step)
                raise SystemExit
            taken.append(step)

        with pytest.raises(SystemExit):
            trainer(tmp_path).run(snapshot=snapshot)
        trainer(tmp_path).run(resume=True, snapshot=snapshot)
        assert taken == [4, 8, 8, 12]


def test_a_second_interrupt_stops_at_once():
    with interruptible() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class TestCheckpoints:
    def test_a_full_disk_keeps_the_previous_one(self, tmp_path):
        killed_run(tmp_path, call=5)
        before = (tmp_path / "checkpoint.pt").read_bytes()
        (tmp_path / "checkpoint.pt.part").symlink_to("/dev/full")  # every write fails, as on a full disk
        with pytest.raises(TrainingError, match=r"\(the disk is full\); the last good checkpoint is still there"):
            trainer(tmp_path).run(resume=True)
        assert (tmp_path / "checkpoint.pt").read_bytes() == before
        assert not (tmp_path / "checkpoint.pt.part").is_symlink()
        trainer(tmp_path).run(resume=True)

    def test_a_disk_that_fills_while_it_is_flushed(self, tmp_path, monkeypatch):
        def fsync(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        made = trainer(tmp_path)
        made.method.before = lambda call: monkeypatch.setattr(os, "fsync", fsync) if call == 3 else None
        with pytest.raises(TrainingError, match=r"the disk is full.*nothing was written before"):
            made.run()
        assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]

    def test_a_log_that_cannot_be_written_is_one_sentence(self, tmp_path):
        made = trainer(tmp_path)

        def fill(call: int) -> None:
            (tmp_path / "log.jsonl").unlink(missing_ok=True)
            (tmp_path / "log.jsonl").symlink_to("/dev/full")

        made.method.before = fill
        with pytest.raises(TrainingError, match=r"log.jsonl could not be written \(No space left on device\)"):
            made.run()

    @pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "other"])
    def test_a_damaged_one_is_not_resumed(self, tmp_path, finished, damage):
        content = (finished[0] / "checkpoint.pt").read_bytes()
        path = tmp_path / "checkpoint.pt"
        if damage == "other":
            torch.save({"step": 3}, path)
        else:
            value = torch.load(finished[0] / "checkpoint.pt")["trained"]["0.weight"].numpy().tobytes()
            assert content.count(value) == 1
            middle = content.index(value) + 5
            flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            damaged = {"truncated": content[:-100], "flipped": flipped, "empty": b"", "text": b"no checkpoint"}
            path.write_bytes(damaged[damage])
        with pytest.raises(TrainingError, match=r"checkpoint.pt is damaged and cannot be resumed; delete it"):
            trainer(tmp_path).run(resume=True)

    @pytest.mark.parametrize(
        ("changed", "words"),
        [({"seed": 3}, "seed 0, not 3"), ({"steps": 20}, "steps 12, not 20"), ({"batch_size": 4}, "batch_size 8")],
    )
    def test_of_another_run_it_is_refused(self, tmp_path, changed, words):
        killed_run(tmp_path)
        with pytest.raises(TrainingError, match=f"belongs to a run with {words}.*resume with the same settings"):
            trainer(tmp_path, **changed).run(resume=True)

    def test_of_another_model_it_is_refused(self, tmp_path):
        killed_run(tmp_path)
        with pytest.raises(TrainingError, match="belongs to a run of another model"):
            trainer(tmp_path, Adversarial()).run(resume=True)


class TestDivergence:
    @pytest.mark.parametrize(("value", "word"), [(math.nan, "nan"), (math.inf, "inf")])
    def test_a_loss_stops_the_run_and_keeps_the_checkpoint(self, tmp_path, value, word):
        method = Regression()

        def change(losses: Losses) -> Losses:
            return losses | {"size": torch.full((SIZE,), value)} if method.network.calls == 7 else losses

        method.change = change
        with pytest.raises(TrainingError) as caught:
            trainer(tmp_path, method).run()
        message = str(caught.value)
        assert message.startswith(f"Loss 'size' became {word} at step 6 (phase 'fit'), so training stopped; ")
        assert f"the last good checkpoint is {tmp_path / 'checkpoint.pt'}" in message
        state = torch.load(tmp_path / "checkpoint.pt")
        assert state["step"] == 4
        assert all(value.isfinite().all() for value in state["trained"].values())

    @pytest.mark.parametrize("clip", [None, 1.0])
    def test_a_gradient_stops_the_run_before_it_moves_anything(self, tmp_path, clip):
        method, seen = Regression(clip=clip), {}

        def change(losses: Losses) -> Losses:
            if method.network.calls < 3:
                return losses
            seen.update({name: value.clone() for name, value in method.network.named_parameters()})
            return losses | {"root": (0 * losses["square"]).sqrt()}  # finite, but its slope is not

        method.change = change
        with pytest.raises(TrainingError, match=r"The gradient became nan, while the losses were finite, at step 2"):
            trainer(tmp_path, method).run()
        assert equal(dict(method.network.named_parameters()), seen)

    def test_the_first_step_says_that_there_is_no_checkpoint(self, tmp_path):
        method = Regression()
        method.change = lambda losses: {"square": losses["square"] * math.nan}
        with pytest.raises(TrainingError, match=r"at step 0.*no checkpoint was made yet"):
            trainer(tmp_path, method).run()


class TestBudget:
    def test_timing_leaves_no_trace(self, tmp_path, finished):
        method = Regression()
        made = trainer(tmp_path, method)
        method.network.calls.fill_(41)
        before = weights(method.network), equal_state(made)
        assert made.seconds_per_step(6) > 0
        assert equal((weights(method.network), equal_state(made)), before)
        assert method.network.calls == 41  # a buffer outside of the state
        assert all(p.grad is None for p in method.network.parameters())
        made.run()
        assert equal(weights(method.network), finished[1])

    def test_lazy_phases_count_as_often_as_they_run(self, tmp_path):
        method = Adversarial(every=10)
        trainer(tmp_path, method).seconds_per_step(trials=2)
        order = [entry[0] for entry in method.record]
        assert (order.count("penalty"), order.count("maker")) == (2, 11)  # the first step is not timed

    def test_minutes_become_steps(self, tmp_path, monkeypatch):
        made = trainer(tmp_path, steps=1000)
        tried = []
        monkeypatch.setattr(made, "seconds_per_step", lambda trials: tried.append(trials) or 0.25)
        for minutes, steps in ((9, 1000), (2, 480), (1e-9, 1)):
            made.spend(minutes)
            assert made.settings == settings(steps=steps)
        assert tried == [3, 43, 3, 9, 3]  # a fiftieth of the budget, but three at least


def equal_state(made: Trainer) -> dict[str, Any]:
    import copy

    return copy.deepcopy(made._state())


class TestSettings:
    @pytest.mark.parametrize(
        ("changed", "word"),
        [
            ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
            ({"steps": 2.5}, "steps"),
            ({"steps": True}, "steps"),
            ({"batch_size": -1}, "batch_size"),
            ({"seed": "x"}, "seed"),
            ({"log_every": 0}, "log_every"),
            ({"checkpoint_every": 0}, "checkpoint_every"),
            ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), not 1.0"),
            ({"ema_decay": math.nan}, "ema_decay"),
            ({"precision": "fp8"}, "precision must be one of no, bf16, auto, not 'fp8'"),
        ],
    )
    def test_out_of_range_is_one_sentence(self, changed, word):
        with pytest.raises(InputError, match=word):
            settings(**changed)

    def test_one_process_trains_in_both_precisions(self, tmp_path):
        found = {}
        for number, precision in enumerate(("bf16", "no", "bf16")):
            method = Regression()
            made = trainer(tmp_path / str(number), method, precision=precision, steps=2)
            made.run()
            found[number] = weights(method.network)
        assert equal(found[0], found[2])
        assert not equal(found[0], found[1])
        assert all(value.dtype != torch.bfloat16 for value in found[0].values())


class TestAutomaticPrecision:
    @pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
    def test_is_bfloat16_where_the_processor_multiplies_it(self, monkeypatch, instruction):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instruction: True, "avx2": True})
        assert uses_bfloat16("auto", torch.device("cpu"))

    @pytest.mark.parametrize("found", [{"avx2": True}, {"avx512_f": True, "avx512_bf16": False}, {}])
    def test_is_float32_elsewhere_unless_bfloat16_is_asked_for(self, monkeypatch, tmp_path, found):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
        made = {}
        for precision in ("no", "auto", "bf16"):
            method = Regression()
            trainer(tmp_path / precision, method, precision=precision, steps=2).run()
            made[precision] = weights(method.network)
        assert equal(made["auto"], made["no"])
        assert not equal(made["auto"], made["bf16"])


def test_batches_are_moved_and_texts_left_alone():
    batch = {"a": torch.ones(2), "b": Tokens(torch.ones(2, 3, 4), torch.ones(2, 3).bool()), "c": ["x", "y"]}
    moved = move(batch, torch.device("meta"))
    assert (moved["a"].device.type, moved["b"].values.device.type, moved["b"].mask.device.type) == ("meta",) * 3
    assert moved["c"] == ["x", "y"]


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_memory_of_one_step_serves_the_next():
    """In a process of its own, since it cannot be undone: pages of 64 MiB are asked for at first, not at every turn."""
    script = """
import resource, torch
from dragoman.training.allocator import keep_freed_memory
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*(faults() for _ in range(12)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    first, *_, last = map(int, done.stdout.split())
    assert last < first / 10
