import json

import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from dragoman.errors import PackageError
from dragoman_clip.preprocessing import Preprocessing, read_preprocessor

PROCESSORS = {"clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}
#: One level of 256, for each of the two passes of Pillow's filters, in units of the smallest std.
ROUNDING = 2 / 255 / 0.26


def picture(height, width, channels=3):
    """Bytes, and the same in [0, 1]; smooth with some noise, as photographs are."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    levels = (smooth * 255 + 20 * torch.randn(smooth.shape, generator=generator)).clamp(0, 255).round()
    pixels = levels[0].permute(1, 2, 0).byte().numpy()
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels), levels / 255


@pytest.mark.parametrize("family", ["clip", "siglip"])
@pytest.mark.parametrize("size", [(60, 90), (91, 60), (47, 30), (20, 17), (32, 32), (32, 35), (39, 39), (200, 33)])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_agrees_with_transformers(family, size, channels, tiny):
    image, tensor = picture(*size, channels)
    expected = PROCESSORS[family](**tiny.preprocessor[family])(image, return_tensors="pt")["pixel_values"]
    found = Preprocessing.from_config(read(tiny.preprocessor[family], family), 3, 32)(tensor)
    difference = (found - expected).abs()
    # Where bicubic overshoots, the order of Pillow's two passes, which is not the same for all sizes, shows.
    assert difference.quantile(0.98) < ROUNDING
    assert difference.max() < 3 * ROUNDING
    assert difference.mean() < ROUNDING / 6


def read(config, family, folder=None, name="preprocessor_config.json"):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as made:
        place = Path(folder or made)
        (place / name).write_text(json.dumps(config))
        return read_preprocessor(place, family)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"size": 224, "crop_size": 224, "image_mean": [0.48145466, 0.4578275, 0.40821073]},
        {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
    ],
)
def test_older_and_newer_files_say_the_same(config):
    expected = Preprocessing.from_config(read({}, "clip"), 3, 224)
    assert Preprocessing.from_config(read(config, "clip"), 3, 224) == expected
    assert (
        Preprocessing.from_config(read({"image_processor": config}, "clip", name="processor_config.json"), 3, 224)
        == expected
    )


def test_sizes_of_height_and_width_are_scaled_to_without_keeping_the_shape():
    config = read({"size": {"height": 40, "width": 40}, "crop_size": 32}, "clip")
    images = torch.rand(1, 3, 80, 160)
    assert Preprocessing.from_config(config, 3, 32)(images).shape == (1, 3, 32, 32)
    assert Preprocessing.from_config(config, 3, 32).scale == (40, 40)


def test_colour_is_luma_for_a_network_of_grey_images(tiny):
    config = read(tiny.preprocessor["clip"] | {"image_mean": [0.0], "image_std": [1.0]}, "clip")
    colour, grey = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    of_grey = Preprocessing.from_config(config, 1, 32)
    assert torch.equal(of_grey(grey), grey)
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    torch.testing.assert_close(of_grey(colour)[:, 0], luma)


def test_without_normalisation_values_stay(tiny):
    config = read(tiny.preprocessor["clip"] | {"do_normalize": False}, "clip")
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(Preprocessing.from_config(config, 3, 32)(images), images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 24}, r"gives images \(24, 24\), but its network reads 32"),
        ({"resample": 0}, "cannot be followed: KeyError"),
        ({"size": {"longest_edge": 3}}, "cannot be followed"),
        ({"image_mean": 3}, "cannot be followed"),
    ],
)
def test_what_cannot_be_followed_is_refused(change, message, tiny):
    with pytest.raises(PackageError, match=message):
        Preprocessing.from_config(read(tiny.preprocessor["clip"] | change, "clip"), 3, 32)
