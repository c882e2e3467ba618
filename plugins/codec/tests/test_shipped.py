"""The codec that comes with the distribution, on photographs that it was not trained on."""

import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("skimage")

from dragoman.cli.main import main
from dragoman_codec.benchmark import QUALITIES
from dragoman_codec.evaluation import psnr
from dragoman_codec.expert import Codec
from dragoman_codec.overhead import lengths, tiles
from dragoman_codec.photographs import UNSEEN, photographs
from dragoman_codec.pictures import read_picture


@pytest.fixture(scope="module")
def codec():
    return Codec.from_pretrained("codec/mini")


@pytest.fixture(scope="module")
def coffee():
    return photographs(tuple(name for name in UNSEEN if "coffee" in name))[0]


def test_quality_buys_fidelity_with_bits(codec, coffee):
    sizes, fidelities = [], []
    for quality in (0, 50, 100):
        stream = codec.compress(coffee, {"quality": quality})
        decoded = codec.decompress(stream)
        assert torch.equal(decoded, codec.at({"quality": quality}).reconstruct(coffee))
        sizes.append(len(stream))
        fidelities.append(psnr(coffee, decoded))
    assert sizes[0] * 1.5 < sizes[2]
    assert sizes == sorted(sizes)
    assert fidelities == sorted(fidelities)
    assert fidelities[1] > 25


@pytest.mark.parametrize("quality", QUALITIES)
def test_streams_are_within_one_percent_of_their_rate(codec, quality):
    """All squares of 256 pixels of all unseen photographs, and these as a whole. What is no symbol takes 7 or 8 bytes
    in squares, and up to 10 elsewhere."""
    whole = photographs(UNSEEN)
    for picture in (*whole, *tiles(whole, 256)):
        found = lengths(codec, picture, quality)
        assert found.symbols == pytest.approx(found.symbols_estimate, rel=0.01)
        assert found.stream == pytest.approx(found.estimate, rel=0.01)
        assert found.estimate - found.symbols_estimate < (8 if picture.shape[1] == picture.shape[2] else 10)


def test_there_and_back_by_command(coffee, codec, tmp_path):
    from dragoman.images import save_png, to_pil

    save_png(to_pil(coffee.float() / 255), tmp_path / "in.png")
    for arguments in (
        ["encode", "in.png", "a.drg", "--knob", "quality=20"],
        ["decode", "a.drg", "out.png"],
    ):
        command, source, out, *rest = arguments
        result = CliRunner().invoke(main, [command, str(tmp_path / source), str(tmp_path / out), *rest])
        assert result.exit_code == 0, result.output
    assert torch.equal(read_picture(tmp_path / "out.png"), codec.at({"quality": 20}).reconstruct(coffee))
