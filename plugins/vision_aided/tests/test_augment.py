"""Differentiable and adaptive augmentation."""

import pytest
import torch

from dragoman.errors import InputError
from dragoman.training.seeding import generator_for
from dragoman_vision_aided.adaptive import AdaptiveAugmentation
from dragoman_vision_aided.augment import POLICIES, DiffAugment, colour, cutout, translation


def images(count=64, channels=3, side=16, seed=0):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("augment", [*POLICIES.values(), DiffAugment()])
def test_shape_gradient_and_repetition(augment):
    given = images().requires_grad_(True)
    made = augment(given, generator_for(0))
    assert made.shape == given.shape
    assert torch.equal(made, augment(given, generator_for(0)))
    assert not torch.equal(made, augment(given, generator_for(1)))
    made.square().sum().backward()
    assert given.grad.isfinite().all()
    assert (given.grad.flatten(1).abs().sum(dim=1) > 0).all()


def test_colour_has_the_published_ranges():
    flat = torch.zeros(4000, 3, 4, 4)
    shift = colour(flat, generator_for(0))[:, 0, 0, 0]
    assert shift.min() == pytest.approx(-0.5, abs=0.01)
    assert shift.max() == pytest.approx(0.5, abs=0.01)
    # A grey ramp keeps its hue; only contrast scales its deviation.
    ramp = torch.linspace(-1, 1, 16).view(1, 1, 4, 4).expand(4000, 3, 4, 4)
    factor = colour(ramp, generator_for(0)).std(dim=(1, 2, 3)) / ramp[0].std()
    assert (factor.min().item(), factor.max().item()) == pytest.approx((0.5, 1.5), abs=0.01)
    # Saturation scales the difference of channels from their mean by contrast times U(0, 2).
    tinted = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(4000, 3, 4, 4)
    made = colour(tinted, generator_for(0))
    spread = (made[:, 0] - made[:, 2])[:, 0, 0] / 2
    assert spread.min() < 0.02
    assert spread.max() == pytest.approx(3.0, abs=0.2)


def test_translation_moves_whole_pixels_up_to_an_eighth():
    given = images(200, 1, 16)
    made = translation(given, generator_for(0))
    seen = set()
    for before, after in zip(given, made, strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(
                after[:, max(dy, 0) : 16 + min(dy, 0), max(dx, 0) : 16 + min(dx, 0)],
                before[:, max(-dy, 0) : 16 + min(-dy, 0), max(-dx, 0) : 16 + min(-dx, 0)],
            )
        ]
        assert len(found) == 1
        seen.update(found)
        dy, _ = found[0]
        if dy > 0:
            assert (after[:, :dy] == 0).all()
    assert len(seen) == 25


def test_cutout_removes_the_published_area():
    ones = torch.ones(4000, 1, 32, 32)
    removed = (cutout(ones, generator_for(0)) == 0).float().mean(dim=(1, 2, 3))
    assert removed.max() == pytest.approx(0.25)
    assert removed.mean() == pytest.approx(0.19, abs=0.01)


def test_unknown_policies_are_refused():
    with pytest.raises(InputError, match="no augmentation 'colour'; there are color, translation, cutout"):
        DiffAugment(["colour"])
    with pytest.raises(InputError, match="needs a policy"):
        DiffAugment([])


class TestAdaptive:
    def test_the_probability_follows_the_logits(self):
        adaptive = AdaptiveAugmentation(target=0.3, ramp=1000, most=0.6)
        adaptive.adapt(torch.ones(50, 1))
        assert float(adaptive.probability) == pytest.approx(0.05)
        # 0.6 of the signs are positive, so that their mean is 0.2, below the target.
        adaptive.adapt(torch.cat([torch.ones(6, 1), -torch.ones(4, 1)]))
        assert float(adaptive.probability) == pytest.approx(0.04)
        for _ in range(10):
            adaptive.adapt(-torch.ones(50, 1))
        assert float(adaptive.probability) == 0
        for _ in range(40):
            adaptive.adapt(torch.ones(50, 1))
        assert float(adaptive.probability) == pytest.approx(0.6)

    def test_without_probability_there_is_only_the_cutout(self):
        made = AdaptiveAugmentation()(images(), generator_for(0))
        assert torch.equal(made, cutout(images(), generator_for(0)))

    def test_a_share_of_images_is_changed(self):
        adaptive = AdaptiveAugmentation(most=1.0)
        adaptive.probability.fill_(0.05)
        flat = torch.full((2000, 1, 8, 8), 0.5)
        made = adaptive(flat, generator_for(0))
        kept = (made - 0.5).abs() < 1e-5
        # Of a flat grey image only brightness, contrast and half of the inversions change anything outside the cutout.
        untouched = kept.flatten(1).any(dim=1).float().mean()
        assert untouched == pytest.approx(0.95 * 0.95 * 0.975, abs=0.03)

    def test_gradients_reach_the_images(self):
        adaptive = AdaptiveAugmentation(most=1.0)
        adaptive.probability.fill_(1.0)
        given = images(8).requires_grad_(True)
        adaptive(given, generator_for(0)).square().sum().backward()
        assert given.grad.isfinite().all()
        assert given.grad.abs().sum() > 0

    def test_the_probability_is_part_of_the_state(self):
        adaptive = AdaptiveAugmentation()
        adaptive.adapt(torch.ones(500, 1))
        other = AdaptiveAugmentation()
        other.load_state_dict(adaptive.state_dict())
        assert torch.equal(other.probability, adaptive.probability)
