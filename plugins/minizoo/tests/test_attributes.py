import pytest
import torch

from dragoman_minizoo.attributes import clear, level_log_probabilities, levels, measure, terciles


def rectangle(height: int, width: int, grey: float = 0.8) -> torch.Tensor:
    image = torch.zeros(1, 1, 32, 32)
    top, left = (32 - height) // 2, (32 - width) // 2
    image[:, :, top : top + height, left : left + width] = grey
    return image


def test_brightness_is_the_grey_of_the_garment_whatever_its_size():
    for grey in (0.3, 0.6, 0.9):
        small, large = (measure(rectangle(size, size, grey))[0, 0] for size in (12, 24))
        assert small == pytest.approx(grey, abs=0.05)
        assert large == pytest.approx(grey, abs=0.05)


def test_width_is_relative_to_height():
    wide, square, tall = (measure(rectangle(*shape))[0, 1] for shape in ((10, 24), (16, 16), (24, 10)))
    assert wide > 1.8
    assert square == pytest.approx(1.0, abs=0.02)
    assert tall < 0.55


def test_pattern_is_contrast_inside_and_not_the_outline():
    plain = rectangle(20, 20, 0.5)
    striped = plain.clone()
    striped[:, :, :, ::2] *= 1.6
    assert measure(plain)[0, 2] < 0.02
    assert measure(striped)[0, 2] > 0.1


def test_every_measure_can_be_driven_by_gradients():
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for column in range(3):
        (gradient,) = torch.autograd.grad(measure(images)[:, column].sum(), images)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0


def test_terciles_cut_each_class_in_three():
    values = torch.rand(9000, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(9000) % 3
    values[labels == 1] += 5
    found = levels(values, labels, terciles(values, labels, 3))
    for label in range(3):
        for attribute in range(3):
            shares = found[labels == label][:, attribute].bincount(minlength=3) / 3000
            assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.01)


def test_smooth_levels_agree_with_the_sharp_ones():
    generator = torch.Generator().manual_seed(2)
    values, labels = torch.rand(500, 3, generator=generator), torch.zeros(500, dtype=torch.long)
    boundaries = torch.tensor([[[0.3, 0.6], [0.2, 0.5], [0.4, 0.9]]])
    soft = level_log_probabilities(values, labels, boundaries)
    assert torch.equal(soft.argmax(dim=2), levels(values, labels, boundaries))
    assert torch.allclose(soft.exp().sum(dim=2), torch.ones(500, 3))


def test_a_level_is_clear_at_a_distance_from_both_boundaries():
    boundaries = torch.tensor([[[0.0, 1.0]] * 3])
    values = torch.tensor([[-0.3, 0.1, 0.5], [1.1, 0.9, 1.3]])
    found = clear(values, torch.tensor([0, 0]), boundaries, margin=0.2)
    assert found.tolist() == [[True, False, True], [False, False, True]]
    assert clear(values, torch.tensor([0, 0]), boundaries, margin=0.0).all()
