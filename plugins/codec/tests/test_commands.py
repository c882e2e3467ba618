import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dragoman_codec.commands import decode, encode
from dragoman_codec.expert import Codec
from dragoman_codec.pictures import read_picture


@pytest.fixture
def model(scale_codec, tmp_path):
    scale_codec.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def sentence(result):
    """Errors travel to the group, which prints them."""
    assert result.exit_code == 1
    return str(result.exception)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_there_and_back(model, picture, tmp_path, channels):
    pixels = picture(40, 70, channels)
    Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy()).save(tmp_path / "in.png")
    made = run(encode, tmp_path / "in.png", tmp_path / "a.drg", "--knob", "quality=80", "--model", model)
    assert made.exit_code == 0, made.exception
    assert f"{(tmp_path / 'a.drg').stat().st_size} bytes" in made.output
    made = run(decode, tmp_path / "a.drg", tmp_path / "out.png", "--model", model)
    assert "70 x 40 pixels" in made.output
    expected = Codec.from_pretrained(model).at({"quality": 80}).reconstruct(pixels)
    assert torch.equal(read_picture(tmp_path / "out.png"), expected)


def test_what_is_wrong_is_said(model, picture, tmp_path):
    Image.fromarray(picture(20, 20).permute(1, 2, 0).numpy()).save(tmp_path / "in.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGBA", (4, 4), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    for arguments, message in (
        (["missing.png"], "does not exist"),
        (["text.png"], "cannot be read as a picture"),
        (["clear.png"], "transparent"),
        (["deep.png"], "more than 8 bits"),
        (["in.png", "--knob", "quality"], "NAME=VALUE"),
        (["in.png", "--knob", "quality=200"], "0 to 100"),
        (["in.png", "--device", "abacus"], "Device 'abacus' cannot be used"),
    ):
        name, *rest = arguments
        result = run(encode, tmp_path / name, tmp_path / "a.drg", "--model", model, *rest)
        assert message in sentence(result)
        assert not (tmp_path / "a.drg").exists()
    assert "no compressed image" in sentence(run(decode, tmp_path / "in.png", tmp_path / "out.png", "--model", model))
    assert "cannot be read" in sentence(run(decode, tmp_path / "none.drg", tmp_path / "out.png", "--model", model))
    assert not (tmp_path / "out.png").exists()


def test_a_picture_is_turned_as_its_camera_says(picture, tmp_path):
    image = Image.fromarray(picture(9, 7).permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif[0x0112] = 6  # rows go down from the right
    image.save(tmp_path / "upright.png", exif=exif)
    found = read_picture(tmp_path / "upright.png")
    assert torch.equal(found, picture(9, 7).rot90(-1, dims=(1, 2)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_of_pictures(mode, picture, tmp_path):
    image = Image.fromarray(picture(9, 7).permute(1, 2, 0).numpy()).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    found = read_picture(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    expected = image.convert("L" if mode in ("1", "L", "LA") else "RGB")
    assert found.shape[1:] == (9, 7)
    assert np.array_equal(found.permute(1, 2, 0).squeeze(2).numpy(), np.array(expected))


def test_modules_say_what_is_wrong_in_a_sentence(tmp_path):
    from dragoman_codec import benchmark, train

    for module, arguments in ((benchmark, [tmp_path / "none"]), (train, [tmp_path / "out", "--pictures", tmp_path])):
        result = run(module.main, *arguments)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert len(result.output.splitlines()) == 1
