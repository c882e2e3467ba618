from xml.etree import ElementTree

import pytest
import torch

from dragoman.errors import InputError
from dragoman_codec.bjontegaard import bd_rate
from dragoman_codec.drawing import svg
from dragoman_codec.evaluation import Point, curve_of, of_pillow, psnr
from dragoman_codec.sheet import nearest_jpeg

REFERENCE = [(0.131, 27.58), (0.209, 29.20), (0.320, 30.97), (0.478, 32.84), (0.669, 34.53)]


def test_a_codec_of_twice_the_rate_is_worse_by_100_percent():
    double = [(2 * rate, quality) for rate, quality in REFERENCE]
    assert bd_rate(REFERENCE, double) == pytest.approx(100)
    assert bd_rate(double, REFERENCE) == pytest.approx(-50)
    assert bd_rate(REFERENCE, list(reversed(REFERENCE))) == pytest.approx(0)


def test_only_common_qualities_count():
    # Both have log rate linear in quality, 10 % apart.
    ours = [(1.1 * 2 ** (quality / 6), quality) for quality in (28.0, 30.0, 32.0, 36.0)]
    theirs = [(2 ** (quality / 6), quality) for quality in (20.0, 25.0, 29.0, 33.0)]
    assert bd_rate(theirs, ours) == pytest.approx(10)


@pytest.mark.parametrize(
    ("tested", "message"),
    [
        (REFERENCE[:3], "at least 4 points"),
        ([(-1.0, 28.0), *REFERENCE], "positive rate"),
        ([(rate, quality + 20) for rate, quality in REFERENCE], "no quality in common"),
    ],
)
def test_curves_that_cannot_be_compared(tested, message):
    with pytest.raises(InputError, match=message):
        bd_rate(REFERENCE, tested)


def test_curves_come_from_real_streams(scale_codec, picture):
    pictures = [picture(176, 180, seed=seed) for seed in range(2)]
    points = curve_of({float(quality): of_pillow("JPEG", quality) for quality in (10, 90)}, pictures)
    assert points[0].bpp < points[1].bpp
    assert points[0].psnr < points[1].psnr
    assert points[0].ms_ssim < points[1].ms_ssim <= 1
    stream = scale_codec.compress(pictures[0])
    (ours,) = curve_of({50.0: lambda image: (stream, scale_codec.decompress(stream))}, pictures[:1])
    assert ours.bpp == pytest.approx(8 * len(stream) / (176 * 180))
    assert ours.psnr == pytest.approx(psnr(pictures[0], scale_codec.at().reconstruct(pictures[0])))


def test_the_nearest_jpeg_is_no_farther_than_any_other(picture):
    image = picture(64, 80)
    sizes = [len(of_pillow("JPEG", quality)(image)[0]) for quality in range(1, 96)]
    wanted = (sizes[40] + sizes[60]) // 2
    stream, decoded = nearest_jpeg(image, wanted)
    assert abs(len(stream) - wanted) == min(abs(size - wanted) for size in sizes)
    assert decoded.shape == image.shape


def test_psnr():
    one = torch.zeros(3, 4, 4).byte()
    assert psnr(one, one) == float("inf")
    assert psnr(one, one + 255) == 0


def test_curves_are_drawn():
    points = [Point(0, 0.2, 27.3, 0.9), Point(1, 0.7, 31.8, 0.95), Point(2, 2.5, 39.0, 0.99)]
    document = ElementTree.fromstring(svg({"ours & theirs": points, "JPEG": points[:2]}))
    texts = [element.text for element in document.iter("{http://www.w3.org/2000/svg}text")]
    assert {"ours & theirs", "JPEG", "bits per pixel", "27", "31"} <= set(texts)
    lines = [element.get("points") for element in document.iter("{http://www.w3.org/2000/svg}polyline")]
    assert lines[0] == lines[1]  # the point beyond the picture is left out
