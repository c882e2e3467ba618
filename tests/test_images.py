"""Pictures: pixel values, the layout of grids, and files that are whole or absent."""

from __future__ import annotations

import errno

import pytest
import torch
from PIL import Image, ImageChops

from dragoman.errors import InputError
from dragoman.images import MARGIN, grid, save_png, to_pil


def test_values_become_the_nearest_of_256_levels_and_are_clipped():
    values = torch.tensor([0.0, 1.0, 0.5, 2.0, -1.0, 0.4 / 255, 0.6 / 255, float("nan")])
    image = to_pil(values.reshape(1, 2, 4))
    assert (image.mode, image.size) == ("L", (4, 2))
    assert list(image.tobytes()) == [0, 255, 128, 255, 0, 0, 1, 0]


def test_channels_are_red_green_blue_and_rows_are_rows():
    tensor = torch.zeros(3, 2, 3)
    tensor[0, 0, 1] = tensor[2, 1, 2] = 1
    image = to_pil(tensor)
    assert (image.size, image.getpixel((1, 0)), image.getpixel((2, 1))) == ((3, 2), (255, 0, 0), (0, 0, 255))


def test_half_precision_and_gradients_are_no_obstacle():
    tensor = torch.ones(3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert to_pil(tensor).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("shape", [(2, 2), (2, 4, 4), (1, 3, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=str(list(shape)).replace("[", r"\[")):
        to_pil(torch.zeros(shape))


def test_a_grid_holds_every_picture_in_reading_order():
    images = torch.arange(5).div(10).reshape(5, 1, 1, 1).expand(5, 1, 4, 4)
    shown = grid(images, 3, scale=2)
    step = 4 * 2 + MARGIN
    assert shown.size == (3 * step + MARGIN, 2 * step + MARGIN)
    centre = MARGIN + 4
    levels = [shown.getpixel((centre + n % 3 * step, centre + n // 3 * step))[0] for n in range(5)]
    assert levels == [round(n / 10 * 255) for n in range(5)]
    assert shown.getpixel((centre + 2 * step, centre + step)) == (255, 255, 255)


def test_enlarging_repeats_pixels():
    image = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    shown = grid(image, 1, scale=3).crop((MARGIN, MARGIN, MARGIN + 6, MARGIN + 6))
    assert ImageChops.difference(shown.resize((2, 2), Image.Resampling.NEAREST), to_pil(image[0])).getbbox() is None
    assert len(set(shown.get_flattened_data() if hasattr(shown, "get_flattened_data") else shown.getdata())) == 4


def test_captions_add_a_readable_line_above_each_row():
    images = torch.zeros(2, 1, 8, 8)
    plain, labelled = grid(images, 1), grid(images, 1, captions=["a shoe", "a bag"])
    added = labelled.height - plain.height
    band = labelled.crop((0, MARGIN, labelled.width, MARGIN + added // 2))
    assert band.getextrema()[0][0] < 64
    assert band.getextrema()[0][1] == 255
    other = grid(images, 1, captions=["a shoe", "a box"])
    assert ImageChops.difference(labelled, other).getbbox() is not None


def test_long_captions_are_broken_into_lines_that_fit():
    images = torch.ones(1, 1, 64, 64)
    words = "a dark narrow sandal with a pattern of very small checks " * 3
    short, long = grid(images, 1, captions=["a"]), grid(images, 1, captions=[words])
    assert long.width == short.width
    assert long.height > short.height
    margin = long.crop((long.width - 2, 0, long.width, long.height))
    assert margin.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("count", "columns", "captions"), [(0, 1, []), (2, 0, []), (4, 2, ["one"]), (4, 2, ["one", "two", "three"])]
)
def test_grids_that_make_no_sense_are_refused(count, columns, captions):
    with pytest.raises(InputError):
        grid(torch.zeros(count, 3, 2, 2), columns, captions=captions)


def test_png_files_come_back_as_they_were(tmp_path):
    image = to_pil(torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)))
    save_png(image, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as read:
        assert (read.format, read.tobytes()) == ("PNG", image.tobytes())
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    target = tmp_path / "picture.png"
    target.write_bytes(b"old")

    def full(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match=r"picture\.png cannot be written: No space left"):
        save_png(Image.new("L", (1, 1)), target)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert target.read_bytes() == b"old"


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="No such file or directory"):
        save_png(Image.new("L", (1, 1)), tmp_path / "nowhere" / "picture.png")
