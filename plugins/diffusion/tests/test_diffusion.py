"""Diffusion of pixels and cascades: the contract, guidance, super-resolution, packages."""

import json
import math

import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman.plugins import zoo
from dragoman.ports import Port
from dragoman.representation import Tokens, select
from dragoman_diffusion.cascade import Cascade
from dragoman_diffusion.diffusion import Diffusion
from dragoman_diffusion.health import caption_gap, estimate_strip, loss_by_band
from dragoman_diffusion.unet import count_parameters

TOKENS, VECTOR = Port("tokens", "tokens", ("length", 6)), Port("pooled", "vector", (6,))
FEW = {"num_inference_steps": 3}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def drawn(translator, condition, seed=1, **knobs):
    with torch.no_grad():
        return translator.sample(condition, generator=seeded(seed), **{**FEW, **knobs})


def test_the_cards_lead_to_the_classes():
    assert zoo().translators["diffusion"].load() is Diffusion
    assert zoo().translators["diffusion-cascade"].load() is Cascade


@pytest.mark.parametrize(
    "options", [{}, {"attention": "concat"}, {"patch": 2}, {"low": [4, 4]}, {"low": [4, 4], "crop": 4}]
)
def test_losses_are_per_sample_and_reach_the_weights(options, make_diffusion, texts, generator):
    translator = make_diffusion(**options)
    target = torch.rand(6, 1, 8, 8, generator=generator)
    translator.initialize(target, texts(6))
    before = torch.get_rng_state()
    loss = translator.losses(target, texts(6), generator=generator)["denoising"]
    assert torch.equal(torch.get_rng_state(), before)
    assert loss.shape == (6,)
    assert loss.isfinite().all()
    loss.mean().backward()
    missing = [name for name, p in translator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias moves all scores of a softmax alike.
    assert [name for name in missing if not name.endswith(("to_k.bias", "k_proj.bias", "score.bias"))] == []


@pytest.mark.parametrize("attention", ["cross", "concat"])
@pytest.mark.parametrize("longest", [5, 15])
def test_padding_has_no_influence(attention, longest, make_diffusion, texts):
    """With 15 tokens and the learned one there are as many as the lower level has pixels: a trap of diffusers."""
    translator = make_diffusion(attention=attention)
    condition = texts(3, longest=longest)
    noisy = Tokens(torch.where(condition.mask[..., None], condition.values, torch.nan), condition.mask)
    longer = Tokens(
        torch.nn.functional.pad(condition.values, (0, 0, 0, 4)), torch.nn.functional.pad(condition.mask, (0, 4))
    )
    expected = drawn(translator, condition)
    torch.testing.assert_close(drawn(translator, noisy), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(drawn(translator, longer), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "edm"])
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_every_sampler_takes_every_prediction(sampler, prediction, make_diffusion, texts):
    image = drawn(make_diffusion(prediction=prediction), texts(2), sampler=sampler)
    assert image.shape == (2, 1, 8, 8)
    assert 0 <= image.min() < image.max() <= 1


def test_samples_do_not_depend_on_the_batch_size(make_diffusion, texts):
    translator, condition = make_diffusion(), texts(4)
    whole, again = drawn(translator, condition, 7), seeded(7)
    parts = [translator.sample(select(condition, rows), generator=again, **FEW) for rows in ([0], [1, 2], [3])]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-4, rtol=1e-4)


def test_state_and_config_make_the_same_translator(make_diffusion, texts, generator):
    translator = make_diffusion()
    translator.initialize(torch.rand(6, 1, 8, 8, generator=generator), texts(6))
    twin = Diffusion(**json.loads(json.dumps(translator.config)))
    twin.load_state_dict(translator.state_dict())
    assert torch.equal(drawn(twin.eval(), texts(3)), drawn(translator.eval(), texts(3)))


def test_guidance_and_negative(make_diffusion, texts):
    translator = make_diffusion()
    one, other = texts(3, seed=1), texts(3, seed=2)
    empty = Tokens(one.values, torch.zeros_like(one.mask))
    close = {"atol": 1e-3, "rtol": 1e-3}
    torch.testing.assert_close(
        drawn(translator, one, guidance_scale=0.0), drawn(translator, empty, guidance_scale=1.0), **close
    )
    torch.testing.assert_close(
        drawn(translator, one, guidance_scale=1 + 1e-6), drawn(translator, one, guidance_scale=1.0), **close
    )
    default = drawn(translator, one, guidance_scale=3.0)
    torch.testing.assert_close(drawn(translator, one, guidance_scale=3.0, negative=empty), default, **close)
    assert not torch.allclose(drawn(translator, one, guidance_scale=3.0, negative=select(other, [0])), default, **close)
    # A condition that is its own negative is not guided.
    torch.testing.assert_close(
        drawn(translator, one, guidance_scale=3.0, negative=one), drawn(translator, one, guidance_scale=1.0), **close
    )


def test_thresholding_reaches_the_samples(make_diffusion, texts):
    translator = make_diffusion()
    dynamic, static = (drawn(translator, texts(3), guidance_scale=9.0, threshold=share) for share in (0.9, 0.0))
    assert (dynamic - static).abs().max() > 0.01


def test_a_diffusion_learns_what_its_condition_says(generator):
    """Two kinds of images for two conditions; the samples follow, and the health signals see it."""
    torch.manual_seed(0)
    port = Port("image", "image", (1, 4, 4))
    translator = Diffusion.build(VECTOR, port, widths=[16], layers=[1], attends=[True], head=8, text_width=16)

    def draw(rows):
        label = torch.randint(2, (rows,), generator=generator)
        target = 0.2 + 0.6 * label.view(-1, 1, 1, 1) + 0.05 * torch.randn(rows, 1, 4, 4, generator=generator)
        return target, torch.nn.functional.one_hot(label, 6).float()

    translator.initialize(*draw(100))
    fresh = loss_by_band(translator, *draw(100))
    optimizer = torch.optim.Adam(translator.parameters(), 3e-3)
    for _ in range(80):
        loss = translator.losses(*draw(32), generator=generator)["denoising"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    condition = torch.nn.functional.one_hot(torch.arange(20) % 2, 6).float()
    means = drawn(translator, condition, num_inference_steps=8).mean(dim=(1, 2, 3))
    assert means[0::2].max() < 0.5 < means[1::2].min()
    after, gap = loss_by_band(translator, *draw(100)), caption_gap(translator, *draw(100))
    assert list(after) == ["0.0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1.0"]
    assert after["0.4-0.6"] < 0.5 * fresh["0.4-0.6"]
    assert gap["gap"] > 0.2
    strip = estimate_strip(translator, condition[:2], columns=4, num_inference_steps=6)
    assert strip.shape == (8, 1, 4, 4)
    signals = translator.signals(*draw(100))
    assert signals.keys() == {*(f"loss.{band}" for band in after), *(f"captions.{name}" for name in gap)}


def test_an_ignored_condition_has_no_gap(make_diffusion, texts, generator):
    translator = make_diffusion(source=VECTOR)
    with torch.no_grad():  # all conditions look alike
        translator.text.project[1].weight.zero_()
    target = torch.rand(8, 1, 8, 8, generator=generator)
    assert caption_gap(translator, target, torch.randn(8, 6, generator=generator))["gap"] == pytest.approx(0, abs=1e-5)
    with pytest.raises(InputError, match="two rows"):
        caption_gap(translator, target[:1], torch.zeros(1, 6))


def test_the_level_of_augmentation_reaches_the_network(make_diffusion, texts, generator):
    stage = make_diffusion(low=[4, 4])
    low = torch.rand(2, 1, 4, 4, generator=generator)
    none, much = (drawn(stage, texts(2), low=low, augmentation=level) for level in (0.0, 0.9))
    assert (none - much).abs().max() > 1e-3
    described, degraded = stage.text(texts(2)), stage._given(low, torch.zeros(2, 2, 1, 8, 8), 0.0)
    x, t = torch.zeros(2, 1, 8, 8), torch.full((2,), 0.5)
    told = [stage._network(x, t, described, degraded._replace(level=torch.full((2,), level))) for level in (0.0, 0.9)]
    assert (told[0] - told[1]).abs().max() > 1e-4


def test_a_stage_without_a_smaller_image_sees_noise_of_the_highest_level(make_diffusion, texts):
    stage, dark, bright = make_diffusion(low=[4, 4]), torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    alone = drawn(stage, texts(2), augmentation=0.0)
    assert not torch.allclose(drawn(stage, texts(2), low=dark, augmentation=0.0), alone)
    for low in (dark, bright):  # at that level nothing is left of an image
        torch.testing.assert_close(drawn(stage, texts(2), low=low, augmentation=1.0), alone, atol=1e-3, rtol=0)


def test_patches_are_put_back_where_they_were(make_diffusion):
    """A network that copies its input has to give each pixel back at its place."""
    network = make_diffusion(patch=2).network
    network.network.forward = lambda x, *_, **__: (x,)
    x = torch.rand(2, 1, 8, 8)
    tokens = Tokens(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(network(x, torch.zeros(2), tokens, torch.zeros(2, 8)), x)


def test_a_cascade_samples_through_its_stages_and_trains_one(make_diffusion, texts, generator):
    base, stage = make_diffusion(), make_diffusion(side=16, low=[8, 8], crop=8)
    cascade = Cascade.of([base, stage])
    condition = texts(3)
    images, again = drawn(cascade, condition, 5), seeded(5)
    assert images.shape == (3, 1, 16, 16)
    parts = [cascade.sample(select(condition, rows), generator=again, **FEW) for rows in ([0], [1, 2])]
    torch.testing.assert_close(torch.cat(parts), images, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(drawn(cascade, condition, 5, augmentation=(0.0, 0.9)), images)
    target = torch.rand(3, 1, 16, 16, generator=generator)
    cascade.initialize(target, condition)
    cascade.losses(target, condition, generator=generator)["denoising"].mean().backward()
    assert all(parameter.grad is None for parameter in base.parameters())
    assert any(parameter.grad is not None for parameter in stage.parameters())
    twin = Cascade(**json.loads(json.dumps(cascade.config)))
    twin.load_state_dict(cascade.state_dict())
    assert torch.equal(drawn(twin.eval(), condition), drawn(cascade.eval(), condition))


def test_a_model_has_defaults_of_its_own_and_each_stage_too(make_diffusion, texts):
    own = {"threshold": 0.0, "guidance_scale": 9.0, "num_inference_steps": 2}
    base, plain = make_diffusion(defaults=own), make_diffusion()
    plain.load_state_dict(base.state_dict())
    assert torch.equal(base.sample(texts(3), generator=seeded(1)), plain.sample(texts(3), generator=seeded(1), **own))
    assert own.items() <= {knob.name: knob.default for knob in base.knobs()}.items()
    stage = make_diffusion(side=16, low=[8, 8], crop=8, defaults={**own, "guidance_scale": 1.0})
    cascade = Cascade.of([base, stage])
    chosen = {knob.name: knob.default for knob in cascade.knobs()}
    assert (chosen["guidance_scale"], chosen["num_inference_steps"]) == ([9.0, 1.0], 2)
    asked = cascade.sample(texts(3), generator=seeded(1), **{**own, "guidance_scale": (9.0, 1.0)})
    assert torch.equal(cascade.sample(texts(3), generator=seeded(1)), asked)
    with pytest.raises(InputError, match="diffusion has no knob 'steps'"):
        make_diffusion(defaults={"steps": 3})
    with pytest.raises(InputError, match="diffusion has no knob 'negative'"):
        make_diffusion(defaults={"negative": "blur"})


def test_a_sketch_goes_from_noise_to_the_target(make_diffusion, texts, generator):
    cascade = Cascade.of([make_diffusion(), make_diffusion(side=16, low=[8, 8], crop=8)])
    target = torch.rand(2, 1, 16, 16, generator=generator)
    shown = cascade.sketch(target, texts(2)).view(2, 9, 1, 16, 16)
    assert torch.equal(shown[:, -1], target)
    assert 0 <= shown.min() < shown.max() <= 1
    assert "captions.gap" in cascade.signals(target, texts(2))
    assert "captions.gap" not in cascade.signals(target[:1], texts(1))


def test_a_stage_can_be_exchanged(make_diffusion, texts, generator):
    base, other, stage = make_diffusion(), make_diffusion(prediction="sample"), make_diffusion(side=16, low=[8, 8])
    cascade = Cascade.of([other, stage], trained=0)
    assert cascade.losses(torch.rand(2, 1, 16, 16, generator=generator), texts(2), generator=generator)[
        "denoising"
    ].shape == (2,)
    assert not torch.allclose(drawn(cascade, texts(2)), drawn(Cascade.of([base, stage]), texts(2)))


def test_the_published_sizes_instantiate_without_memory():
    text = Port("tokens", "tokens", ("length", 4096))
    found = {}
    for size, side, low in (("imagen-base", 64, None), ("imagen-256", 256, 64), ("imagen-1024", 1024, 256)):
        with torch.device("meta"):
            options = {"low": [low, low]} if low else {}
            found[size] = count_parameters(
                Diffusion.build(text, Port("i", "image", (3, side, side)), size=size, **options)
            )
    millions = {size: round(count / 1e6) for size, count in found.items()}
    assert millions == {"imagen-base": 2259, "imagen-256": 762, "imagen-1024": 762}
    assert found["imagen-base"] == pytest.approx(2e9, rel=0.15)  # as published


def test_what_a_user_can_get_wrong(make_diffusion, texts, generator):
    image = Port("image", "image", (1, 8, 8))
    for options, message in [
        ({"size": "huge"}, "no size 'huge'"),
        ({"widht": 3}, "no option 'widht'"),
        ({"schedule": "sigmoid"}, "schedule must be"),
        ({"prediction": "x0"}, "prediction must be"),
        ({"widths": [8, 16, 32]}, "one thing each per level"),
        ({"crop": 4}, "crop is for super-resolution"),
        ({"head": 5}, "head must divide"),
        ({"patch": 0}, "patch must be"),
        ({"patch": 8}, "U-Net of 2 levels on patches of 8 needs sides that 16 divides, not 8"),
    ]:
        with pytest.raises(InputError, match=message):
            Diffusion.build(TOKENS, image, **options)
    with pytest.raises(InputError, match="sides that 8 divides, not 12"):
        Diffusion.build(TOKENS, Port("i", "image", (1, 12, 12)), widths=[8] * 4, layers=[1] * 4, attends=[False] * 4)
    for source, target in (
        (Port("x", "image", (1, 8, 8)), image),
        (TOKENS, VECTOR),
        (TOKENS, Port("i", "image", (1, "h", "w"))),
    ):
        with pytest.raises(PortError):
            Diffusion.build(source, target)
    translator, stage = make_diffusion(), make_diffusion(side=16, low=[8, 8])
    for knobs, message in [
        ({"guidance": 2.0}, "no knob 'guidance'"),
        ({"guidance_scale": math.inf}, "guidance_scale"),
        ({"threshold": 2.0}, "threshold"),
        ({"sampler": "plms"}, "sampler must be"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"temperature": -1.0}, "temperature"),
        ({"low": torch.zeros(2, 1, 4, 4)}, "low= is for super-resolution"),
        ({"negative": texts(3)}, "negative must be one condition, or 2"),
    ]:
        with pytest.raises(InputError, match=message):
            translator.sample(texts(2), generator=generator, **knobs)
    with pytest.raises(InputError, match=r"low must be images \[2, 1, 8, 8\]"):
        stage.sample(texts(2), generator=generator, low=torch.zeros(2, 1, 4, 4))
    with pytest.raises(InputError, match="without dropout"):
        make_diffusion(dropout=0.0).sample(texts(2), generator=generator)
    with pytest.raises(InputError, match="first stage"):
        Cascade.of([stage])
    with pytest.raises(InputError, match=r"makes images \[1, 16, 16\]"):
        Cascade.of([make_diffusion(side=16), stage])
    with pytest.raises(InputError, match="one for each stage"):
        Cascade.of([translator, stage]).sample(texts(2), generator=generator, augmentation=(0.1, 0.1, 0.1))
    with pytest.raises(InputError, match="target must be images"):
        translator.losses(torch.zeros(2, 1, 4, 4), texts(2), generator=generator)
    with pytest.raises(InputError, match="condition must be"):
        translator.losses(torch.zeros(2, 1, 8, 8), torch.zeros(2, 7), generator=generator)
