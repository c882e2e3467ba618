import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman_timm.perceptual import Perceptual
from dragoman_timm.style import Style, gram, total_variation

TAPS = {"stage.0": 2.0, "stage.1": 0.5}


def test_content_is_the_mean_squared_difference_of_each_tap(experts, tiny):
    expert, outputs, reference = experts["swin"], tiny.images(3), tiny.images(3, seed=1)
    losses = Perceptual(expert, TAPS).losses(outputs, reference)
    assert list(losses) == ["content.stage.0", "content.stage.1"]
    for tap, weight in TAPS.items():
        difference = expert.encode(outputs, tap) - expert.encode(reference, tap)
        expected = torch.stack([weight * (row**2).mean() for row in difference])
        torch.testing.assert_close(losses[f"content.{tap}"], expected)
    torch.testing.assert_close(Perceptual(expert, TAPS).score(outputs, reference), -sum(losses.values()))


def test_style_is_the_distance_of_gram_matrices(experts, tiny):
    expert, outputs, style = experts["vgg"], tiny.images(2), tiny.images(1, seed=1, height=40)
    losses = Style(expert, TAPS, smoothness=3.0).losses(outputs, style)
    assert list(losses) == ["style.stage.0", "style.stage.1", "total_variation"]
    for tap, weight in TAPS.items():
        ours, theirs = expert.encode(outputs, tap), expert.encode(style, tap)[0]
        for row, each in enumerate(ours):
            channels, height, width = each.shape
            matrices = [
                torch.einsum("ihw,jhw->ij", value, value) / (channels * height * width) for value in (each, theirs)
            ]
            expected = weight * (matrices[0] - matrices[1]).square().sum()
            torch.testing.assert_close(losses[f"style.{tap}"][row], expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(losses["total_variation"], 3 * total_variation(outputs))


def test_style_with_content(experts, tiny):
    expert, outputs, style, content = experts["vgg"], tiny.images(2), tiny.images(1, seed=1), tiny.images(2, seed=2)
    losses = Style(expert, TAPS, content=4.0).losses(outputs, style, content=content)
    alone = Perceptual(expert, TAPS).losses(outputs, content)
    assert {name: value.shape for name, value in losses.items()} == dict.fromkeys(losses, (2,))
    for name, value in alone.items():
        torch.testing.assert_close(losses[name], 4 * value)


@pytest.mark.parametrize("kind", [Perceptual, Style])
def test_an_image_is_like_itself(kind, experts, tiny):
    images = tiny.images(2)
    losses = kind(experts["convnext"], TAPS).losses(images, images)
    for name, value in losses.items():
        assert (value == 0).all() == (name != "total_variation")


def test_style_forgets_where_things_are_and_content_does_not(experts, tiny):
    expert = experts["vgg"]
    images = torch.zeros(1, 3, 32, 32)
    images[:, :, 4:12, 6:14] = tiny.images(1, height=8, width=8)
    moved = images.roll((12, 10), dims=(2, 3))
    style = Style(expert, {"stage.0": 1.0})
    other = tiny.images(1, seed=3)
    assert style.losses(moved, images)["style.stage.0"] < 0.02 * style.losses(other, images)["style.stage.0"]
    content = Perceptual(expert, {"stage.0": 1.0})
    assert content.losses(moved, images)["content.stage.0"] > 0.02 * content.losses(other, images)["content.stage.0"]


def test_gram_matrices_do_not_depend_on_the_order_of_positions():
    maps = torch.rand(2, 5, 6, 7)
    shuffled = maps.flatten(2)[:, :, torch.randperm(42)].unflatten(2, (6, 7))
    torch.testing.assert_close(gram(shuffled), gram(maps))
    assert gram(maps).shape == (2, 5, 5)


def test_total_variation_counts_steps():
    image = torch.zeros(1, 1, 4, 6)
    image[..., 3:] = 0.5
    assert total_variation(image) == pytest.approx(4 * 0.5 / 24)
    assert total_variation(image.mT) == pytest.approx(4 * 0.5 / 24)
    assert total_variation(torch.full((2, 3, 5, 5), 0.7)).tolist() == [0, 0]


@pytest.mark.parametrize("kind", [Perceptual, Style])
def test_losses_are_per_sample_and_differentiable(kind, experts, tiny):
    critic = kind(experts["vgg"], TAPS).freeze()
    outputs, reference = tiny.images(4), tiny.images(4, seed=1)
    together = critic.losses(outputs, reference)
    for row in range(4):
        alone = critic.losses(outputs[row : row + 1], reference[row : row + 1])
        for name, value in together.items():
            torch.testing.assert_close(value[row], alone[name][0], atol=1e-6, rtol=1e-4)
    leaf = outputs.clone().requires_grad_()
    sum(value[1] for value in critic.losses(leaf, reference).values()).backward()
    assert leaf.grad[1].abs().sum() > 0
    assert leaf.grad[[0, 2, 3]].abs().sum() == 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_following_the_gradient_brings_an_image_closer(experts, tiny):
    critic = Style(experts["vgg"], TAPS)
    image, style = tiny.images(1).requires_grad_(), tiny.images(1, seed=1)
    before = critic.losses(image, style, content=style)
    optimizer = torch.optim.Adam([image], lr=0.02)
    for _ in range(20):
        optimizer.zero_grad()
        sum(critic.losses(image, style, content=style).values()).sum().backward()
        optimizer.step()
    after = critic.losses(image, style, content=style)
    assert sum(after.values()) < 0.7 * sum(before.values())


@pytest.mark.parametrize("kind", [Perceptual, Style])
def test_loaded_critics_see_whole_images(kind, tiny, tmp_path):
    config = tiny.config("vgg")
    config["model_args"]["cfg"] = [4, "M"] * 4
    folder = tiny.write(tmp_path, config)
    critic = kind.from_pretrained(folder)
    assert critic.origin.folder == folder
    assert critic.expert.preprocessing.crop == 1.0
    image = tiny.images(1, height=64, width=64).requires_grad_()
    sum(critic.losses(image, tiny.images(1, seed=1)).values()).sum().backward()
    border = image.grad.clone()
    border[:, :, 2:-2, 2:-2] = 1
    assert (border != 0).all()


def test_taps_have_to_be_maps(experts):
    with pytest.raises(PortError, match="looks at maps, but port pooled"):
        Perceptual(experts["vgg"], {"pooled": 1.0})
    with pytest.raises(PortError, match=r"no port 'stage\.7'"):
        Style(experts["vgg"], {"stage.7": 1.0})
    with pytest.raises(InputError, match="at least one tap"):
        Style(experts["vgg"], {})


@pytest.mark.parametrize("reference", [torch.rand(2, 5), ["a red bag"], torch.rand(2, 3, 32, 32)])
def test_references_have_to_be_images(reference, experts, tiny):
    with pytest.raises(InputError, match=r"compares 3 images with reference images \[1, C, H, W\] or \[3, C, H, W\]"):
        Perceptual(experts["vgg"], TAPS).losses(tiny.images(3), reference)
