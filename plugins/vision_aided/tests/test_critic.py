"""Taps, heads, losses, augmentation, schedules, and taking part in training."""

import pytest
import torch
from torch.nn import functional as F

from dragoman.endpoint import load_expert
from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.fuse import load_critic
from dragoman.ports import Port
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
from dragoman_vision_aided.critic import VisionAided
from dragoman_vision_aided.heads import Head
from dragoman_vision_aided.objectives import OBJECTIVES, objective
from dragoman_vision_aided.taps import default_taps


def images(count=6, seed=0):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def critic_of(tiny, *taps, wrong="", **options):
    return VisionAided(tiny.eye(wrong), "eye", taps or ("stage.1",), **{"width": 8, "augmentation": "none"} | options)


class Speaker(Expert):
    """Has words for images, and nothing else."""

    reads = "image"

    @classmethod
    def describe(cls, config):
        return {"caption": Port("caption", "text", gives=True)}


class TestTaps:
    def test_an_unknown_tap_is_an_error_that_lists_those_that_exist(self, tiny):
        with pytest.raises(PortError, match=r"no port 'stage.9'; its ports are stage.0, stage.1, pooled"):
            critic_of(tiny, "stage.9")

    @pytest.mark.parametrize(("tap", "reason"), [("label", "is no such"), ("loose", "has none")])
    def test_a_tap_has_to_be_a_map_or_vector_of_fixed_size(self, tiny, tap, reason):
        with pytest.raises(PortError, match=reason):
            critic_of(tiny, tap)

    def test_no_tap_twice(self, tiny):
        with pytest.raises(InputError, match="one or more different taps"):
            critic_of(tiny, "pooled", "pooled")

    @pytest.mark.parametrize("tap", ["stage.0", "pooled"])
    def test_other_shapes_than_the_expert_says_are_an_error(self, tiny, tap):
        critic = critic_of(tiny, tap, wrong=tap)
        with pytest.raises(PortError, match=rf"critic 'eye' gives .* at port '{tap}', but says"):
            critic.logits(images())

    def test_defaults(self, tiny, zoo_folder):
        assert default_taps(tiny.eye(), "eye") == ("loose",)
        assert default_taps(load_expert("stylegan2", str(zoo_folder / "one"))) == ("features",)
        assert default_taps(load_expert("judge-fashion")) == ("features",)
        with pytest.raises(PortError, match="speaker gives neither maps nor vectors"):
            default_taps(Speaker({}), "speaker")

    def test_all_taps_take_one_pass(self, tiny):
        critic = critic_of(tiny, "stage.0", "stage.1", "pooled")
        critic.logits(images())
        assert critic.expert.passes == 1


class TestHeads:
    @pytest.mark.parametrize(
        ("taps", "logits"), [(("stage.0",), [1]), (("pooled",), [1]), (("stage.0", "stage.1", "pooled"), [16, 4, 1])]
    )
    def test_shapes_follow_from_the_taps(self, tiny, taps, logits):
        found = critic_of(tiny, *taps).logits(images())
        assert [tuple(level.shape) for level in found] == [(6, count) for count in logits]

    def test_logits_do_not_depend_on_the_batch(self, tiny):
        critic = critic_of(tiny, "stage.0", "pooled").eval()
        together, apart = critic.logits(images()), [critic.logits(each[None]) for each in images()]
        for level, values in enumerate(together):
            torch.testing.assert_close(values, torch.cat([each[level] for each in apart]))

    def test_the_class_is_projected_onto_the_last_level(self, tiny):
        critic = critic_of(tiny, "stage.0", "stage.1", num_classes=3).eval()
        zero, one = (critic.logits(images(), torch.full((6,), label)) for label in (0, 1))
        assert torch.equal(zero[0], one[0])
        assert (zero[1] != one[1]).all()
        level = critic.heads.head.levels[1]
        hidden = level.trunk(critic.features(images())[1]).mean(dim=(2, 3))
        expected = (hidden * (level.embed.weight[1] - level.embed.weight[0])).sum(dim=1, keepdim=True)
        torch.testing.assert_close(one[1] - zero[1], expected.expand(-1, 4))
        with pytest.raises(InputError, match="needs the labels"):
            critic.logits(images())

    def test_layers_are_spectrally_normalised(self, tiny):
        head = Head(critic_of(tiny, "stage.0").taps, width=8)
        for _ in range(300):  # each forward pass is one step of power iteration
            head([torch.randn(2, 5, 8, 8)])
        layer = head.eval().levels[0].hidden
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-2)

    def test_a_blurred_stride_does_not_alias(self, tiny):
        # A checkerboard has no mean; without the blur, every second pixel of it is a constant.
        level = Head(critic_of(tiny, "stage.0").taps, width=8).levels[0]
        board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1).expand(1, 5, 8, 8)
        blurred = level.trunk[0][0](board)
        assert blurred.shape == (1, 5, 8, 8)
        assert blurred[:, :, 1:-2, 1:-2].abs().max() < 1e-6

    def test_first_weights_follow_from_the_seed_alone(self, tiny):
        torch.manual_seed(5)
        state = torch.get_rng_state()
        one, other, third = (critic_of(tiny, seed=seed).heads.state_dict() for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert any(not torch.equal(one[name], third[name]) for name in one)


class TestObjectives:
    levels = (torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([[0.3], [-1.0]]))

    def test_sigmoid_is_binary_cross_entropy_summed_over_levels(self):
        found = objective("sigmoid")

        def reference(target):
            return sum(
                F.binary_cross_entropy_with_logits(x, torch.full_like(x, target), reduction="none").mean(dim=1)
                for x in self.levels
            )

        torch.testing.assert_close(found.of_real(self.levels), reference(1.0))
        torch.testing.assert_close(found.of_fake(self.levels), reference(0.0))
        torch.testing.assert_close(found.of_generator(self.levels), reference(1.0))
        smooth = objective("sigmoid", 0.8)
        torch.testing.assert_close(smooth.of_real(self.levels), reference(0.8))
        torch.testing.assert_close(smooth.of_fake(self.levels), reference(0.0))
        torch.testing.assert_close(smooth.of_generator(self.levels), reference(1.0))

    def test_hinge(self):
        found = objective("hinge")
        torch.testing.assert_close(found.of_real(self.levels), torch.tensor([1.5 + 0.7, 0.25 + 2.0]))
        torch.testing.assert_close(found.of_fake(self.levels), torch.tensor([1.0 + 1.3, 2.75 + 0.0]))
        torch.testing.assert_close(found.of_generator(self.levels), torch.tensor([0.5 - 0.3, -1.75 + 1.0]))

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(InputError, match="no adversarial loss 'sigmod'; write sigmoid or hinge"):
            objective("sigmod")
        with pytest.raises(InputError, match="no labels to smooth"):
            objective("hinge", 0.8)
        with pytest.raises(InputError, match=r"must be in \(0.5, 1\]"):
            objective("sigmoid", 1.2)

    @pytest.mark.parametrize("name", list(OBJECTIVES))
    def test_the_generator_is_rewarded_for_higher_logits(self, name):
        logits = torch.zeros(3, 2, requires_grad=True)
        objective(name).of_generator([logits]).sum().backward()
        assert (logits.grad < 0).all()


class TestLosses:
    def test_names_shapes_and_gradients(self, tiny):
        critic = critic_of(tiny, "stage.0", "pooled")
        fake = images(seed=1).requires_grad_(True)
        of_heads = critic.losses_of_heads(images(), fake, None, generator=generator_for(0))
        assert {name: tuple(value.shape) for name, value in of_heads.items()} == {"eye_real": (6,), "eye_fake": (6,)}
        sum(value.sum() for value in of_heads.values()).backward()
        assert fake.grad is None
        assert all(parameter.grad is not None for parameter in critic.heads.parameters())
        of_generator = critic.losses_of_generator(fake, None, images=0, generator=generator_for(0))
        of_generator["g_eye"].sum().backward()
        assert (fake.grad.flatten(1).abs().sum(dim=1) > 0).all()
        assert all(not parameter.requires_grad for parameter in critic.expert.parameters())

    def test_warm_up_and_ramp_count_images(self, tiny):
        critic = critic_of(tiny, weight=2.0, warmup=100, ramp=50)
        assert [critic.weight_at(seen) for seen in (0, 99, 100, 125, 150, 900)] == [0, 0, 0, 1.0, 2.0, 2.0]
        critic.expert.passes = 0
        assert critic.losses_of_generator(images(), None, images=99, generator=generator_for(0)) == {}
        assert critic.expert.passes == 0
        heard = critic.losses_of_generator(images(), None, images=125, generator=generator_for(0))
        full = critic.losses_of_generator(images(), None, images=150, generator=generator_for(0))
        torch.testing.assert_close(2 * heard["g_eye"], full["g_eye"], rtol=0.2, atol=0.1)

    def test_as_a_critic_it_scores_images(self, tiny):
        critic = critic_of(tiny, "stage.0").eval()
        scores = critic.score(images(), images())
        torch.testing.assert_close(scores, -critic.losses(images(), images())["g_eye"])
        order = critic.logits(images())[0][:, 0].argsort()
        assert torch.equal(scores.argsort(), order)

    def test_each_critic_sees_its_own_augmented_copy(self, tiny, monkeypatch):
        critic, seen = critic_of(tiny, augmentation="diff"), []
        original = critic.expert.encode_many

        def record(inputs, ports):
            seen.append(inputs)
            return original(inputs, ports)

        monkeypatch.setattr(critic.expert, "encode_many", record)
        same = images()
        critic.losses_of_heads(same, same, None, generator=generator_for(0))
        assert not torch.equal(seen[0], seen[1])
        critic.losses(same, same)
        assert torch.equal(seen[2], same)

    def test_it_cannot_be_used_by_its_name_alone(self):
        with pytest.raises(InputError, match="needs an expert to look with"):
            load_critic("vision-aided")

    def test_options_out_of_range(self, tiny):
        with pytest.raises(InputError, match="no augmentation 'ada'; write none, diff, adaptive"):
            critic_of(tiny, augmentation="ada")
        with pytest.raises(InputError, match="negative or empty"):
            critic_of(tiny, warmup=-1)


class Bright:
    def batch(self, size, generator):
        return {"image": 0.8 + 0.2 * torch.rand(size, 1, 8, 8, generator=generator)}


@pytest.mark.parametrize("loss", list(OBJECTIVES))
def test_heads_learn_to_tell(tiny, loss):
    critic = critic_of(tiny, "stage.0", "pooled", loss=loss)
    optimizer = torch.optim.Adam(critic.heads.parameters(), 0.01)

    def told():
        losses = critic.losses_of_heads(
            Bright().batch(16, generator_for(1))["image"], images(16), None, generator=generator_for(0)
        )
        return sum(value.mean() for value in losses.values())

    before = told()
    for _ in range(30):
        optimizer.zero_grad()
        told().backward()
        optimizer.step()
    # Spectral normalisation bounds how sure the heads can be.
    assert told() < 0.98 * before
    real, fake = (
        critic.score(each, each).mean() for each in (Bright().batch(16, generator_for(2))["image"], images(16))
    )
    assert real > fake


def test_in_training_heads_move_and_the_expert_does_not(tiny, tmp_path):
    start = tiny.stylegan2()
    critic = critic_of(tiny, "stage.0", "pooled", augmentation="adaptive", adapts_over=64)
    method = AdversarialStyleGAN2(
        start.generator.requires_grad_(True), start.discriminator.requires_grad_(True), [critic], head_rate=0.01
    )
    frozen = {name: value.clone() for name, value in critic.expert.state_dict().items()}
    heads = {name: value.clone() for name, value in critic.heads.named_parameters()}
    assert not any("expert" in name for name in method.trained().state_dict())
    assert any(name.endswith("adaptive.probability") for name in method.trained().state_dict())
    result = Trainer(method, Bright(), Settings(steps=10, batch_size=8), tmp_path, device="cpu").run()
    assert {"g_eye", "eye_real", "eye_fake"} <= result.losses.keys()
    assert all(not torch.equal(value, heads[name]) for name, value in critic.heads.named_parameters())
    assert 0 <= float(critic.heads.adaptive.probability) <= 0.8
    assert all(torch.equal(value, frozen[name]) for name, value in critic.expert.state_dict().items())
