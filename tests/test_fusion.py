"""Sampling: what a seed decides, what must not matter, and what cannot be asked for."""

from __future__ import annotations

import math

import pytest
import torch

from dragoman.errors import InputError
from dragoman.knobs import Knob
from tiny_zoo.build import build_fusion
from tiny_zoo.parts import TinyBrightness

PROMPTS = ["a boot", "a much longer prompt about a bag", "x"]


def seeded(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["pooled", "tokens"])
def any_fusion(request, zoo_of_tiny, experts):
    """Fusions whose condition is a vector, or a padded sequence; both can rank."""
    return build_fusion(experts / "text", experts / "image", port=request.param, ranker=TinyBrightness())


@pytest.fixture
def ranked(zoo_of_tiny, experts):
    return build_fusion(experts / "text", experts / "image", ranker=TinyBrightness())


class TestReproducible:
    def test_a_seed_decides_every_bit(self, any_fusion):
        first, again, other = (any_fusion.sample(PROMPTS, 3, generator=seeded(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.allclose(first, other)

    def test_without_a_generator_it_is_that_of_seed_0(self, any_fusion):
        assert torch.equal(any_fusion.sample("x", 2), any_fusion.sample("x", 2, generator=seeded(0)))

    @pytest.mark.parametrize(("candidates", "ranking"), [(1, 0.0), (3, 0.0), (3, 0.1)])
    @pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
    def test_the_batch_size_does_not_matter(self, any_fusion, batch_size, candidates, ranking):
        chosen = {"candidates": candidates, "ranking_temperature": ranking}
        whole, parts = (
            any_fusion.sample(PROMPTS, 3, generator=seeded(), batch_size=size, **chosen) for size in (1000, batch_size)
        )
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("ranking", [0.0, 0.1])
    def test_the_prompts_that_follow_do_not_matter(self, ranked, ranking):
        both, alone = (
            ranked.sample(asked, 4, generator=seeded(), candidates=2, ranking_temperature=ranking)
            for asked in (PROMPTS, PROMPTS[0])
        )
        torch.testing.assert_close(both[:4], alone, rtol=0, atol=1e-6)

    def test_the_global_generator_neither_matters_nor_moves(self, ranked):
        before = torch.get_rng_state()
        first = ranked.sample(PROMPTS, 2)
        assert torch.equal(torch.get_rng_state(), before)
        with torch.random.fork_rng():
            torch.manual_seed(99)
            assert torch.equal(ranked.sample(PROMPTS, 2), first)


class TestOutputs:
    def test_have_the_shape_and_range_of_images(self, any_fusion):
        images = any_fusion.sample(PROMPTS, 2)
        assert (images.shape, images.dtype) == ((6, 3, 8, 8), torch.float32)
        assert 0 <= images.min() < images.max() <= 1
        assert not images.requires_grad

    def test_of_one_prompt_stand_next_to_each_other(self, ranked):
        images = ranked.sample(["a boot", "a bag"], 3, temperature=0.0)
        # Equal to rounding: a matrix product may round one row of a batch otherwise than another.
        torch.testing.assert_close(images[0], images[1])
        torch.testing.assert_close(images[3], images[5])
        assert not torch.allclose(images[2], images[3])

    def test_prompts_may_be_encoded_before(self, ranked):
        encoded = ranked.encoder.encode(["a boot", "a bag"], ranked.source.port.name)
        for candidates in (1, 3):
            once = ranked.sample(encoded, 2, generator=seeded(), candidates=candidates)
            assert torch.equal(once, ranked.sample(["a boot", "a bag"], 2, generator=seeded(), candidates=candidates))

    def test_a_text_is_one_prompt(self, ranked):
        assert torch.equal(ranked.sample("a boot", 2), ranked.sample(["a boot"], 2))

    def test_temperature_scales_the_noise(self, ranked):
        spread = [ranked.sample("a boot", 50, temperature=value).var(dim=0).mean() for value in (0.0, 0.1, 1.0)]
        assert spread[0] == 0
        assert spread[0] < spread[1] < spread[2]

    def test_truncation_reaches_the_expert(self, ranked, monkeypatch):
        asked = []
        decode = ranked.decoder.decode
        monkeypatch.setattr(
            ranked.decoder, "decode", lambda latent, port, **knobs: asked.append(knobs) or decode(latent, port)
        )
        ranked.sample("x", truncation=0.3)
        assert asked == [{"truncation": 0.3}]


class TestRanking:
    def test_keeps_the_best_of_each_group(self, ranked):
        draws = ranked.sample(PROMPTS, 12, generator=seeded())
        best = ranked.sample(PROMPTS, 3, generator=seeded(), candidates=4)
        brightness = draws.flatten(1).mean(1).view(-1, 4)
        torch.testing.assert_close(best.flatten(1).mean(1), brightness.max(dim=1).values)
        groups = draws.view(-1, 4, *draws.shape[1:])
        torch.testing.assert_close(best, groups[torch.arange(9), brightness.argmax(dim=1)], rtol=0, atol=1e-6)

    def test_a_critic_that_can_give_no_more_is_asked_less(self, ranked, monkeypatch):
        """With a ceiling fewer candidates are rendered, and the result is the same."""
        rendered = []
        decode = ranked.decoder.decode
        monkeypatch.setattr(
            ranked.decoder, "decode", lambda latent, *rest, **how: rendered.append(len(latent)) or decode(latent, *rest)
        )
        chosen = {"candidates": 6, "ranking_temperature": 1.0}
        wholly = ranked.sample(PROMPTS, 20, generator=seeded(), **chosen)
        assert sum(rendered) == 360
        rendered.clear()
        monkeypatch.setattr(ranked.ranker, "ceiling", 1.0)
        briefly = ranked.sample(PROMPTS, 20, generator=seeded(), **chosen)
        torch.testing.assert_close(briefly, wholly, rtol=0, atol=1e-6)
        assert sum(rendered) < 300

    def test_a_ranking_temperature_needs_a_critic(self, fusion):
        with pytest.raises(InputError, match="no knob 'ranking_temperature'"):
            fusion.sample("a boot", ranking_temperature=1.0)

    def test_a_ranking_temperature_needs_candidates(self, ranked):
        with pytest.raises(InputError, match="ranking_temperature chooses among candidates; ask for two or more"):
            ranked.sample("a boot", ranking_temperature=1.0)


class TestKnobs:
    @pytest.fixture
    def asked(self, ranked, monkeypatch):
        """What reaches a translator with two knobs, and an expert with one that the translator has too."""
        asked = {}
        own = (Knob("steps", 4, 1, kind="whole"), Knob("negative", kind="text"))
        monkeypatch.setattr(ranked.translator, "knobs", lambda: own)
        monkeypatch.setattr(ranked.decoder, "knobs", lambda: (Knob("steps", 4, 1, kind="whole"), Knob("beta", 1, 0, 9)))
        for part, verb in ((ranked.translator, "sample"), (ranked.decoder, "decode")):
            real = getattr(part, verb)

            def spied(*given, real=real, verb=verb, **knobs):
                asked[verb] = knobs
                return real(*given, **knobs)

            monkeypatch.setattr(part, verb, spied)
        return asked

    def test_go_to_the_part_that_has_them(self, ranked, asked):
        names = ["temperature", "truncation", "candidates", "ranking_temperature", "steps", "negative", "beta"]
        assert [knob.name for knob in ranked.knobs()] == names
        ranked.sample("x", knobs={"steps": 7, "temperature": 0.5}, beta=3)
        assert (asked["sample"]["steps"], asked["sample"]["temperature"]) == (7, 0.5)
        assert asked["decode"] == {"truncation": 1.0, "beta": 3}

    def test_a_text_is_encoded_like_a_prompt(self, ranked, asked):
        ranked.sample("x", negative="a bag")
        assert torch.equal(asked["sample"]["negative"], ranked.encoder.encode(["a bag"], "pooled"))

    @pytest.mark.parametrize(
        ("knobs", "words"),
        [
            ({"speed": 1}, r"no knob 'speed'; its knobs are temperature \(at least 0\), truncation .*beta \(0 to 9\)"),
            ({"steps": 1.5}, "steps takes a whole number, at least 1, so it cannot be 1.5"),
            ({"beta": 10}, "beta takes 0 to 9, so it cannot be 10"),
            ({"beta": [1, 2]}, "beta takes 0 to 9"),
        ],
    )
    def test_what_is_not_there_is_one_sentence(self, ranked, asked, knobs, words):
        with pytest.raises(InputError, match=words):
            ranked.sample("x", knobs=knobs)
        assert asked == {}


class TestPreferences:
    """What a fusion does where nothing else is asked."""

    def test_hold_where_nothing_is_asked(self, ranked):
        asked = ranked.sample(PROMPTS, 2, candidates=3, temperature=0.5)
        assert torch.equal(ranked.prefer(candidates=3, temperature=0.5).sample(PROMPTS, 2), asked)

    def test_give_way_one_by_one(self, ranked):
        plain = ranked.sample(PROMPTS, 2)
        two = ranked.sample(PROMPTS, 2, candidates=2)
        ranked.prefer(candidates=3, ranking_temperature=0.5).prefer(ranking_temperature=0.0)
        assert torch.equal(ranked.sample(PROMPTS, 2, candidates=2), two)
        assert torch.equal(ranked.sample(PROMPTS, 2, knobs={"candidates": 1}), plain)

    def test_are_the_defaults_of_the_knobs(self, ranked):
        ranked.prefer(truncation=0.5, candidates=4)
        defaults = {knob.name: knob.default for knob in ranked.knobs()}
        assert defaults == {"temperature": 1.0, "truncation": 0.5, "candidates": 4, "ranking_temperature": 0.0}

    def test_of_a_ranking_do_not_stand_in_the_way_of_one_candidate(self, ranked):
        plain = ranked.sample(PROMPTS)
        assert torch.equal(ranked.prefer(candidates=3, ranking_temperature=0.5).sample(PROMPTS, candidates=1), plain)

    @pytest.mark.parametrize(
        ("knobs", "words"),
        [({"speed": 1}, "no knob 'speed'"), ({"candidates": 0}, "candidates takes a whole number, at least 1")],
    )
    def test_are_checked(self, ranked, knobs, words):
        with pytest.raises(InputError, match=words):
            ranked.prefer(**knobs)

    def test_for_a_critic_need_one(self, fusion):
        with pytest.raises(InputError, match="no knob 'candidates'"):
            fusion.prefer(candidates=2)


class TestBadInput:
    @pytest.mark.parametrize(
        ("prompts", "words"),
        [
            ("", "Prompt 1 is empty; describe what to make"),
            (["a boot", " \n\t"], "Prompt 2 is empty"),
            ([], "No prompt was given"),
            (["a boot", 3], "Prompt 2 is 3; prompts are texts"),
        ],
    )
    def test_a_prompt_that_says_nothing(self, ranked, prompts, words):
        with pytest.raises(InputError, match=words):
            ranked.sample(prompts)

    @pytest.mark.parametrize(
        ("knobs", "words"),
        [
            ({"n": 0}, "n must be at least 1, not 0"),
            ({"candidates": 0}, "candidates takes a whole number, at least 1, so it cannot be 0"),
            ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
            ({"temperature": -0.1}, "temperature takes at least 0, so it cannot be -0.1"),
            ({"temperature": math.nan}, "temperature takes at least 0, so it cannot be nan"),
            ({"temperature": math.inf}, "temperature takes at least 0, so it cannot be inf"),
            ({"truncation": 0.0}, "truncation must be above 0"),
            ({"truncation": 1.01}, "truncation takes 0 to 1, so it cannot be 1.01"),
            ({"truncation": math.nan}, "truncation takes 0 to 1, so it cannot be nan"),
        ],
    )
    def test_a_number_out_of_range(self, ranked, knobs, words):
        with pytest.raises(InputError, match=words):
            ranked.sample("a boot", **knobs)

    def test_candidates_without_a_ranker(self, fusion):
        with pytest.raises(InputError, match="no critic to rank candidates; leave candidates at 1"):
            fusion.sample("a boot", candidates=2)
