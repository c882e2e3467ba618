"""The method that trains translators on pairs, with and without a critic."""

from __future__ import annotations

import pytest
import torch

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.representation import Tokens
from dragoman.training import Batch, Trainer
from dragoman.training.paired import Paired
from dragoman.training.seeding import generator_for
from tiny_runs import SIZE, equal, lines, settings, weights
from tiny_zoo.parts import TinyJudge, TinyText
from tiny_zoo.training import TinyGenerator, TinyLearner, TinyScatter

pytestmark = pytest.mark.usefixtures("one_thread")


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

    def test_a_translator_may_learn_from_what_was_declined(self, parts, batch, monkeypatch):
        *_, translator = parts
        seen = []

        def told(self, target, declined):
            seen.append((target, declined))
            return {"told": (target - declined).square().mean(dim=1)}

        method = Paired(translator)
        assert method("translator", batch, generator_for(2)).keys() == {"nll"}
        monkeypatch.setattr(type(translator), "declined_losses", told)
        assert method("translator", batch, generator_for(2)).keys() == {"nll"}
        declined = torch.zeros_like(batch["target"])
        losses = method("translator", {**batch, "declined": declined}, generator_for(2))
        assert losses.keys() == {"nll", "told"}
        assert len(seen) == 1
        assert seen[0][1] is declined

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
