"""The trainer: exact resume, phases, averaging, logs, and everything that can go wrong on the way."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError, TrainingError
from dragoman.progress import progress
from dragoman.representation import Tokens
from dragoman.training import Batch, Losses, Method, Phase, Settings, Trainer
from dragoman.training.average import MovingAverage
from dragoman.training.interrupt import interruptible
from dragoman.training.paired import Paired
from dragoman.training.schedule import learning_rate
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import move
from tiny_zoo.parts import TinyJudge, TinyText
from tiny_zoo.training import TinyGenerator, TinyLearner, TinyScatter

SIZE = 8


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """More threads cost more than they bring for a few hundred weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Points:
    """Inputs, and targets that depend on them."""

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randn(size, 4, generator=generator)
        return {"x": x, "y": x.sum(1, keepdim=True)}


class Regression(Method):
    """Whatever makes a resume inexact if it is forgotten: momentum, batch statistics, dropout, noise."""

    def __init__(self, seed: int = 0, **phase: Any) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 1)
            )
        self.network.register_buffer("calls", torch.tensor(0), persistent=False)
        self.phase = phase
        self.before: Callable[[int], None] = lambda call: None
        self.change: Callable[[Losses], Losses] = lambda losses: losses

    def phases(self) -> list[Phase]:
        return [Phase("fit", list(self.network.parameters()), **{"learning_rate": 0.01, **self.phase})]

    def trained(self) -> nn.Module:
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        self.before(int(self.network.calls))
        self.network.calls += 1
        noise = 0.1 * torch.randn(batch["x"].shape, generator=generator)
        error = (self.network(batch["x"] + noise) - batch["y"]).squeeze(1)
        return self.change({"square": error.square(), "size": 1e-3 * error.abs()})


def settings(**changed: Any) -> Settings:
    return Settings(**{"steps": 12, "batch_size": SIZE, "checkpoint_every": 4, "log_every": 1, **changed})


def trainer(folder: Path, method: Method | None = None, **changed: Any) -> Trainer:
    return Trainer(method or Regression(), Points(), settings(**changed), folder, device="cpu")


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def killed_at(call: int) -> Callable[[int], None]:
    """End the run as a kill would, which writes no checkpoint."""

    def end(now: int) -> None:
        if now == call:
            raise SystemExit

    return end


def killed_run(folder: Path, call: int = 10, **changed: Any) -> None:
    method = Regression()
    method.before = killed_at(call)
    with pytest.raises(SystemExit):
        trainer(folder, method, **changed).run()


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


class TestLossesPerSample:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda loss: loss.mean(), r"'square' of shape \[\] in phase 'fit', not \[8\]"),
            (lambda loss: loss[:3], r"'square' of shape \[3\]"),
            (lambda loss: torch.cat([loss, loss]), r"'square' of shape \[16\]"),
            (lambda loss: loss[:, None], r"'square' of shape \[8, 1\]"),
        ],
    )
    def test_anything_else_is_one_sentence(self, tmp_path, change, words):
        method = Regression()
        method.change = lambda losses: losses | {"square": change(losses["square"])}
        with pytest.raises(TrainingError, match=f"Regression returned loss {words}"):
            trainer(tmp_path, method).run()

    def test_no_loss_is_one_sentence(self, tmp_path):
        method = Regression()
        method.change = lambda losses: {}
        with pytest.raises(TrainingError, match="Regression returned no loss in phase 'fit'"):
            trainer(tmp_path, method).run()


class Adversarial(Method):
    """Two players, and a lazy penalty on the first, each with one number that its losses move by known amounts."""

    def __init__(self, **penalty: Any) -> None:
        super().__init__()
        self.players = nn.ModuleDict({"critic": nn.Linear(1, 1, bias=False), "maker": nn.Linear(1, 1, bias=False)})
        for player in self.players.values():
            nn.init.constant_(player.weight, 1.0)
        self.penalty = {"every": 3, "shares": "critic", "weights": {"penalty": 0.0}, **penalty}
        self.record: list[tuple[str, bool, bool, float, float]] = []

    def phases(self) -> list[Phase]:
        common: dict[str, Any] = {"learning_rate": 0.1, "schedule": "constant"}
        critic, maker = (list(self.players[name].parameters()) for name in ("critic", "maker"))
        return [
            Phase("critic", critic, **common),
            Phase("penalty", critic, **{**common, **self.penalty}),
            Phase("maker", maker, **common),
        ]

    def trained(self) -> nn.Module:
        return self.players

    def averaged(self) -> nn.Module:
        return self.players["maker"]

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        critic, maker = (self.players[name].weight for name in ("critic", "maker"))
        self.record.append((phase, critic.requires_grad, maker.requires_grad, critic.item(), maker.item()))
        one = torch.ones(len(batch["x"]))
        # Everything depends on both players: only the phase decides who moves.
        return {phase: one * (critic * maker).squeeze()}


class TestPhases:
    def test_each_moves_its_own_parameters_only(self, tmp_path):
        method = Adversarial()
        trainer(tmp_path, method, steps=1, ema_decay=0.0).run()
        phases, critic_moves, maker_moves, critic, maker = zip(*method.record, strict=True)
        assert phases == ("critic", "penalty", "maker")
        assert (critic_moves, maker_moves) == ((True, True, False), (False, False, True))
        assert maker == (1.0, 1.0, 1.0)
        assert critic[2] < critic[1] < critic[0]  # the penalty's weight is 0, but it shares the critic's momentum
        assert method.players["maker"].weight.item() < 1.0

    def test_lazy_ones_run_at_every_so_many_steps(self, tmp_path):
        method = Adversarial()
        trainer(tmp_path, method, steps=7).run()
        order = [entry[0] for entry in method.record]
        assert order == (["critic", "penalty", "maker"] + 2 * ["critic", "maker"]) * 2 + ["critic", "penalty", "maker"]
        assert "penalty" in lines(tmp_path)[-1]

    def test_sharing_an_optimiser_shares_its_state(self, tmp_path):
        made = trainer(tmp_path, Adversarial(every=1), steps=5)
        made.run()
        assert set(made.optimizers) == {"critic", "maker"}
        counts = {name: int(o.state_dict()["state"][0]["step"]) for name, o in made.optimizers.items()}
        assert counts == {"critic": 10, "maker": 5}

    def test_weights_multiply_losses_in_the_gradient_but_not_in_the_log(self, tmp_path):
        gradients = []
        for weight in (1.0, 3.0):
            method = Regression(weights={"square": weight, "size": 0.0}, clip=None)
            made = trainer(tmp_path, method, steps=1)
            made._gradients(0)
            gradients.append(method.network[4].bias.grad.clone())
            logged = made._gradients(0)
        torch.testing.assert_close(gradients[1], 3 * gradients[0])
        assert set(logged) == {"square", "size"}

    def test_clipping_bounds_the_norm(self, tmp_path):
        method = Regression(clip=1e-4)
        made = trainer(tmp_path, method)
        made._gradients(0)
        made._clip(made.phases[0])
        norm = torch.cat([p.grad.flatten() for p in method.network.parameters()]).norm()
        torch.testing.assert_close(norm, torch.tensor(1e-4), rtol=1e-3, atol=0)

    def test_a_missing_limit_changes_no_bit(self, tmp_path):
        method = Regression()
        made = trainer(tmp_path, method)
        made._gradients(0)
        before = [p.grad.clone() for p in method.network.parameters()]
        made._clip(made.phases[0])
        assert equal([p.grad for p in method.network.parameters()], before)

    @pytest.mark.parametrize(
        ("penalty", "words"),
        [
            ({"shares": "nobody"}, "shares the optimiser of 'nobody', which has none"),
            ({"shares": "maker"}, "shares the optimiser of 'maker', which has none"),
            ({"name": "critic", "shares": ""}, "two phases of the name 'critic'"),
            ({"parameters": []}, "share an optimiser, not parameters"),
            ({"parameters": [nn.Parameter(torch.ones(1))], "shares": ""}, "moves parameters that trained"),
        ],
    )
    def test_contradictions_are_one_sentence(self, tmp_path, penalty, words):
        method = Adversarial()
        first, second, third = method.phases()
        second = Phase(**{**vars(second), **penalty})
        method.phases = lambda: [first, second, third]
        with pytest.raises(TrainingError, match=words):
            trainer(tmp_path, method)


class TestSchedules:
    def rates(self, steps: int = 10, **phase: Any) -> list[float]:
        return [learning_rate(Phase("p", [], learning_rate=2.0, **phase), step, steps) for step in range(steps)]

    def test_constant(self):
        assert self.rates(schedule="constant") == [2.0] * 10

    def test_cosine_falls_from_the_peak_towards_zero(self):
        rates = self.rates(schedule="cosine")
        assert rates == pytest.approx([1 + math.cos(math.pi * step / 10) for step in range(10)])

    def test_warm_up_is_linear_and_then_over(self):
        rates = self.rates(schedule="constant", warmup=4)
        assert rates == [0.5, 1.0, 1.5, *[2.0] * 7]
        assert self.rates(schedule="cosine", warmup=4)[4:] == self.rates(schedule="cosine")[4:]

    def test_another_name_is_one_sentence(self, tmp_path):
        with pytest.raises(InputError, match="'linear'; write constant or cosine"):
            trainer(tmp_path, Regression(schedule="linear")).run()

    def test_they_reach_the_optimiser(self, tmp_path):
        made = trainer(tmp_path, Regression(schedule="cosine", warmup=3), steps=6)
        made.run()
        (group,) = made.optimizers["fit"].param_groups
        assert group["lr"] == learning_rate(made.phases[0], 5, 6)


class TestAverage:
    def test_is_that_of_the_formula(self):
        module, values = nn.Linear(2, 1, bias=False), [1.0, 4.0, -2.0, 3.0]
        nn.init.constant_(module.weight, 0.0)
        average, expected = MovingAverage(module, 0.3), 0.0
        for step, value in enumerate(values, start=1):
            nn.init.constant_(module.weight, value)
            average.update(module)
            decay = min(0.3, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * value
        average.copy_to(module)
        torch.testing.assert_close(module.weight, torch.full((1, 2), expected))

    def test_buffers_are_copied(self):
        module = nn.BatchNorm1d(3)
        average = MovingAverage(module, 0.99)
        module(torch.randn(5, 3, generator=generator_for(0)) + 7)
        average.update(module)
        assert torch.equal(average.shadow["running_mean"], module.running_mean)
        assert average.shadow["num_batches_tracked"] == 1

    def test_weights_that_two_layers_share_stay_one(self):
        module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        module[1].weight = module[0].weight
        nn.init.constant_(module[0].weight, 0.0)
        average = MovingAverage(module, 0.5)
        nn.init.constant_(module[0].weight, 1.0)
        average.update(module)
        assert torch.equal(average.shadow["0.weight"], average.shadow["1.weight"])
        assert 0 < float(average.shadow["0.weight"][0, 0]) < 1

    @pytest.mark.parametrize("decay", [0.0, 0.9])
    def test_is_what_a_run_leaves(self, tmp_path, decay):
        method = Regression()
        trainer(tmp_path, method, ema_decay=decay).run()
        last = torch.load(tmp_path / "checkpoint.pt")["trained"]
        assert equal(weights(method.network), last) == (decay == 0.0)
        assert torch.equal(method.network[1].running_mean, last["1.running_mean"])

    def test_only_the_averaged_part_is_replaced(self, tmp_path):
        method = Adversarial()
        trainer(tmp_path, method).run()
        last = torch.load(tmp_path / "checkpoint.pt")["trained"]
        assert torch.equal(method.players["critic"].weight, last["critic.weight"])
        assert not torch.equal(method.players["maker"].weight, last["maker.weight"])


class TestBudget:
    def test_timing_leaves_no_trace(self, tmp_path, finished):
        method = Regression()
        made = trainer(tmp_path, method)
        method.network.calls.fill_(41)
        before = weights(method.network), equal_state(made)
        assert made.seconds_per_step() > 0
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
        made = trainer(tmp_path)
        monkeypatch.setattr(made, "seconds_per_step", lambda: 0.25)
        made.spend(2)
        assert made.settings == settings(steps=480)
        made.spend(1e-9)
        assert made.settings.steps == 1


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
            ({"precision": "fp8"}, "precision must be no or bf16, not 'fp8'"),
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


def test_batches_are_moved_and_texts_left_alone():
    batch = {"a": torch.ones(2), "b": Tokens(torch.ones(2, 3, 4), torch.ones(2, 3).bool()), "c": ["x", "y"]}
    moved = move(batch, torch.device("meta"))
    assert (moved["a"].device.type, moved["b"].values.device.type, moved["b"].mask.device.type) == ("meta",) * 3
    assert moved["c"] == ["x", "y"]


class TestProgress:
    def show(self, *done: int, note: str = "") -> None:
        with progress("working [so to say]", 3) as shown:
            for number in done:
                shown.update(number, note)

    def test_elsewhere_than_on_a_terminal_it_is_a_line_now_and_then(self, capsys):
        self.show(1, 2, 3, 3, note="nll 1")
        out, err = capsys.readouterr()
        assert (out, err) == ("", "working [so to say]: 1/3 nll 1\nworking [so to say]: 3/3 nll 1\n")

    def test_on_a_terminal_it_is_a_bar_that_takes_names_as_they_are(self, capsys, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
        self.show(1, 3, note="critic[/flat] 2")
        out, err = capsys.readouterr()
        assert out == ""
        assert "working [so to say]" in err
        assert "3/3" in err
        assert "critic[/flat] 2" in err

    def test_one_of_several_processes_speaks(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        self.show(1, 3)
        assert capsys.readouterr() == ("", "")


class TestPaired:
    @pytest.fixture
    def parts(self):
        """A frozen source, generator and critic, and a translator to be trained between them."""
        generator = generator_for(0)
        source = TinyText({"hidden": 6}, torch.randn(256, 6, generator=generator)).freeze()
        target = TinyGenerator({"latent": 5}, torch.randn(5, 192, generator=generator)).freeze()
        critic = TinyJudge({}, torch.randn(192, generator=generator)).freeze()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            translator = TinyLearner(6, 5)
        return source, Endpoint("tiny-generator", target, target.port("z")), critic, translator

    @pytest.fixture
    def batch(self, parts):
        source, target, _, _ = parts
        texts = [f"text {number}" for number in range(SIZE)]
        latents = target.expert.draw("z", SIZE, generator=generator_for(1))
        return {"target": latents, "condition": source.encode(texts, "pooled")}

    def test_experts_stay_frozen_while_gradients_flow_through_them(self, parts, batch, tmp_path):
        source, target, critic, translator = parts
        before = [weights(part) for part in (source, target.expert, critic)]
        start = weights(translator)
        method = Paired(translator, target=target, critic=critic, critic_samples=4, critic_every=2)

        class Data:
            def batch(self, size: int, generator: torch.Generator) -> Batch:
                return batch

        Trainer(method, Data(), settings(steps=5), tmp_path, device="cpu").run()
        assert all(equal(weights(part), old) for part, old in zip((source, target.expert, critic), before, strict=True))
        for part in (source, target.expert, critic):
            assert not part.training
            assert not any(p.requires_grad or p.grad is not None for p in part.parameters())
        assert not equal(weights(translator), start)
        assert {"nll", "critic.ugly"} <= lines(tmp_path)[-1].keys()

    def test_the_critic_alone_moves_the_translator(self, parts, batch):
        _, target, critic, translator = parts
        losses = Paired(translator, target=target, critic=critic)("critic", batch, generator_for(2))
        assert losses.keys() == {"critic.ugly"}
        losses["critic.ugly"].mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in translator.layers[3].parameters())

    def test_a_critic_of_some_samples_has_the_mean_of_these(self, parts, batch):
        _, target, critic, translator = parts
        translator.eval()
        some = Paired(translator, target=target, critic=critic, critic_samples=3, critic_weight=2.0)
        losses = some("critic", batch, generator_for(2))
        images = target.expert.decode(
            translator.sample(batch["condition"][:3], generator=generator_for(2)), target.port.name
        )
        assert losses["critic.ugly"].shape == (SIZE,)
        expected = 2 * critic.losses(images, batch["condition"][:3])["ugly"].mean()
        torch.testing.assert_close(losses["critic.ugly"].mean(), expected)

    def test_noise_on_conditions_comes_from_the_generator(self, parts, batch):
        _, _, _, translator = parts
        translator.eval()
        plain, noisy = Paired(translator), Paired(translator, condition_noise=0.1)
        first, again, other = (noisy("translator", batch, generator_for(seed))["nll"] for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert not torch.equal(first, plain("translator", batch, generator_for(1))["nll"])

    def test_tokens_are_disturbed_and_hidden_inside_of_their_mask_alone(self, parts):
        _, _, _, translator = parts
        mask = torch.arange(40) < torch.tensor([[40], [25], [1], [30]])
        tokens = Tokens(torch.ones(4, 40, 3) * mask[..., None], mask)
        seen = []
        translator.losses = lambda target, condition, generator: seen.append(condition) or {"nll": target}
        method = Paired(translator, condition_noise=0.1, token_dropout=0.4)
        method("translator", {"target": torch.zeros(4), "condition": tokens}, generator_for(1))
        (found,) = seen
        assert not (found.mask & ~mask).any()
        assert found.mask.any(dim=1).all()
        assert 0.4 < found.mask.sum() / mask.sum() < 0.8
        assert (found.values[~found.mask] == 0).all()
        assert found.values[found.mask].std() == pytest.approx(0.1, rel=0.3)
        assert torch.equal(tokens.mask, mask)
        with pytest.raises(InputError, match="token_dropout must be in"):
            Paired(translator, token_dropout=1.0)

    def test_a_critic_needs_something_to_judge(self, parts):
        _, target, _, translator = parts
        with pytest.raises(InputError, match="needs a target that renders"):
            Paired(translator, critic=TinyScatter())
        with pytest.raises(InputError, match="at least 1 of critic_samples"):
            Paired(translator, target=target, critic=TinyScatter(), critic_samples=0)
