"""Phases, losses, schedules and averages of the trainer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from dragoman.errors import InputError, TrainingError
from dragoman.training import Phase
from dragoman.training.average import MovingAverage
from dragoman.training.schedule import learning_rate
from dragoman.training.seeding import generator_for
from tiny_runs import Adversarial, Regression, equal, lines, trainer, weights

pytestmark = pytest.mark.usefixtures("one_thread")


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
