import pytest
import torch
from PIL import Image

from dragoman.errors import PackageError
from dragoman_timm.library import timm
from dragoman_timm.preprocessing import Preprocessing

CFG = {"input_size": (3, 32, 32), "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3), "interpolation": "bicubic"}
#: One level of 256, for each of the two passes of Pillow's filters, in units of the smallest std.
ROUNDING = 2 / 255 / 0.2


def picture(height, width, channels=3):
    """Bytes, and the same in [0, 1]; smooth with some noise, as photographs are."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    levels = (smooth * 255 + 20 * torch.randn(smooth.shape, generator=generator)).clamp(0, 255).round()
    pixels = levels[0].permute(1, 2, 0).byte().numpy()
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels), levels / 255


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [0.875, 1.0])
@pytest.mark.parametrize("size", [(60, 90), (91, 60), (20, 17), (32, 32), (39, 39)])
def test_it_agrees_with_timms_transform(mode, interpolation, crop, size):
    cfg = CFG | {"interpolation": interpolation, "crop_pct": crop, "crop_mode": mode}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg), is_training=False)
    image, tensor = picture(*size)
    expected = transform(image)
    difference = (Preprocessing.from_config(cfg)(tensor)[0] - expected).abs()
    assert difference.max() < ROUNDING
    assert difference.mean() < ROUNDING / 6


def test_uncropped_keeps_the_border():
    image = torch.zeros(1, 3, 64, 96)
    image[:, :, :, :6] = 1
    cropping = Preprocessing.from_config(CFG | {"crop_pct": 0.5})
    assert cropping(image)[0, 0].std() == 0
    whole = cropping.uncropped()(image)
    assert whole.shape == (1, 3, 32, 32)
    assert whole[0, 0, :, 0].min() > whole[0, 0, :, -1].max() + 1


def test_grey_and_colour_images_are_matched_to_the_network():
    colour, grey = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0}
    of_colour = Preprocessing.from_config(CFG | plain)
    of_grey = Preprocessing.from_config(CFG | plain | {"input_size": (1, 32, 32)})
    assert torch.equal(of_colour(grey), grey.expand(-1, 3, -1, -1))
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    torch.testing.assert_close(of_grey(colour)[:, 0], luma)
    assert torch.equal(of_grey(grey), grey)


def test_a_grey_network_without_its_own_statistics_has_the_average():
    grey = Preprocessing.from_config({"input_size": (1, 32, 32), "mean": (0.2, 0.3, 0.4), "std": (1.0, 2.0, 3.0)})
    assert grey.mean == pytest.approx((0.3,))
    assert grey.std == pytest.approx((2.0,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": (3, 32, 64)}, r"reads images \[3, 32, 64\]"),
        ({"input_size": (4, 32, 32)}, r"reads images \[4, 32, 32\]"),
        ({"interpolation": "lanczos"}, "'lanczos'"),
    ],
)
def test_what_cannot_be_followed_is_refused(change, message):
    with pytest.raises(PackageError, match=message):
        Preprocessing.from_config(CFG | change)
