import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dragoman.cli.main import main
from dragoman.errors import InputError, PackageError
from dragoman_style.expert import StyleTransfer

KNOBS = ("content", "style.conv1", "style.conv2", "style.conv3", "style.conv4")


def photo(height=24, width=20, seed=3):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (31, 17)])
def test_pictures_keep_their_size(model, size):
    made = model.decode(photo(*size), "photo")
    assert made.shape == (1, 3, *size)
    assert made.min() >= 0
    assert made.max() <= 1


def test_every_knob_matters(model):
    plain = model.decode(photo(), "photo")
    assert not torch.equal(model.decode(photo(), "photo", content=10.0), plain)
    for knob in model.conditioned.family.knobs():
        low, high = (model.decode(photo(), "photo", **{knob.name: value}) for value in (knob.low, knob.high))
        assert not torch.allclose(low, high, atol=1e-4)
    torch.nn.init.normal_(model.network.last.weight)
    for layer in model.network.up:
        torch.nn.init.normal_(layer.scale)
    waves, dots = (model.decode(photo(), "photo", style=name) for name in ("waves", "dots"))
    assert not torch.allclose(waves, dots, atol=1e-3)


def test_a_saved_model_is_the_same_and_lists_its_knobs(model, folder):
    again = StyleTransfer.from_pretrained(folder)
    assert torch.equal(again.decode(photo(), "photo", content=3.0), model.decode(photo(), "photo", content=3.0))
    described = json.loads((folder / "config.json").read_text())["knobs"]
    assert [knob["name"] for knob in described] == ["style", *KNOBS]
    assert described[0]["choices"] == ["waves", "dots"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["waves"]}, "has 2 styles, but their names are"),
        ({"names": None}, "names are None"),
        ({"names": [1, 2]}, r"names are \[1, 2\]"),
        ({"names": ["waves", "waves"]}, "has 2 styles, but their names are"),
        ({"family": {"coefficients": [{"loss": "style", "low": 1, "high": 2}]}}, "called style, like the choice"),
        ({"film": {"hidden": 10**12}}, "width is a whole number from 1 to 4096"),
        ({"width": 0}, "width is 0"),
        ({"styles": "2"}, "styles is '2'"),
        ({"width": 512, "blocks": 64}, "width 512 and 64 blocks make it too large"),
        ({"blocks": 2}, "do not fit their config.json"),
        ({"family": {}}, "knobs cannot be made"),
        ({"film": {"hidden": "many"}}, "knobs cannot be made"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(PackageError, match=message):
        StyleTransfer.from_pretrained(folder)


def test_what_cannot_be_is_refused(model):
    for make, message in (
        (lambda: model.decode(photo(7, 20), "photo"), "sides of at least 8 pixels, not 7 x 20"),
        (lambda: model.decode(photo(), "photo", style="stripes"), "style takes waves or dots"),
        (lambda: model.decode(photo(), "photo", content=20.0), "content takes 0.1 to 10"),
        (lambda: model.decode(photo(), "photo", loudness=1.0), "no knob 'loudness'; its knobs are style"),
        (lambda: model.encode("text", "photo"), "takes a tensor"),
    ):
        with pytest.raises(InputError, match=message):
            make()


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        pixels = (photo()[0] * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save("photo.png")
        Image.fromarray(pixels[:, :12]).save("narrow.png")

    def run(self, *arguments):
        return CliRunner().invoke(main, ["sample", "style=model", *arguments])

    def test_one_picture_is_written_as_it_is(self, model):
        result = self.run("photo.png", "--knob", "style.conv3=2", "--knob", "style=dots", "--out", "made.png")
        assert (result.exit_code, result.stdout) == (0, "made.png\n")
        with Image.open("made.png") as made, Image.open("photo.png") as given:
            assert made.size == given.size
            found = torch.tensor(list(made.tobytes())).view(24, 20, 3).permute(2, 0, 1) / 255
            pixels = torch.tensor(list(given.tobytes())).view(1, 24, 20, 3).permute(0, 3, 1, 2) / 255
        expected = model.decode(pixels, "photo", **{"style.conv3": 2.0, "style": "dots"})[0]
        torch.testing.assert_close(found, expected, atol=0.6 / 255, rtol=0)

    def test_a_contact_sheet_has_a_picture_for_each_setting(self):
        result = self.run("photo.png", "--sweep", "content=0.1,1,10", "--sweep", "style=waves,dots", "--out", "sheet")
        assert result.exit_code == 0, result.stderr
        names = sorted(path.name for path in (self.folder() / "sheet").iterdir())
        assert names == [*(f"00{row}-000{column}.png" for row in (1, 2, 3) for column in (1, 2)), "grid.png"]
        assert "6 pictures" in result.stderr

    def test_a_photograph_is_turned_as_its_camera_says(self):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright
        with Image.open("photo.png") as photo:
            photo.save("upright.png", exif=exif)
        result = self.run("upright.png", "--out", "made.png")
        assert result.exit_code == 0, result.stderr
        with Image.open("made.png") as made:
            assert made.size == (24, 20)

    def test_several_pictures_of_different_sizes(self):
        result = self.run("photo.png", "narrow.png", "--out", "both")
        assert result.exit_code == 0, result.stderr
        with Image.open("both/002-0001.png") as made:
            assert made.size == (12, 24)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["missing.png"], "missing.png does not exist; this model reads pictures"),
            (["model/config.json"], "cannot be read as a picture"),
            ([], "no generator"),
            (["photo.png", "--knob", "loudness=1"], "no knob 'loudness'"),
            (["photo.png", "--sweep", "content=100"], "content takes 0.1 to 10"),
            (["photo.png", "--sweep", "content=,"], "A sweep is written NAME=VALUE"),
            (["photo.png", *(f"--sweep={name}=1" for name in KNOBS[:3])], "at most two knobs"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, arguments, words):
        result = self.run(*arguments)
        assert result.exit_code == 1
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @staticmethod
    def folder():
        from pathlib import Path

        return Path.cwd()
