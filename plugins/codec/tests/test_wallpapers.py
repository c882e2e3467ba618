import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dragoman.errors import InputError
from dragoman_codec import wallpapers


def test_pictures_are_reduced_to_their_longest_side(tmp_path):
    Image.new("RGBA", (300, 200), (10, 20, 30, 255)).save(tmp_path / "in.png")
    reduced = wallpapers.reduced(tmp_path / "in.png", 96)
    assert (reduced.size, reduced.mode) == ((96, 64), "RGB")
    assert (np.array(reduced) == (10, 20, 30)).all()


def test_all_files_of_all_packages_are_taken(tmp_path, monkeypatch):
    """With packages that are unpacked already."""
    taken = [*wallpapers.PHOTOGRAPHS.items(), *wallpapers.VALIDATION.items(), *wallpapers.STYLES.items()]
    for (package, place, _), files in taken:
        for file in files.values() if isinstance(files, dict) else files:
            path = tmp_path / package / "usr" / "share" / place / file
            path = path if path.suffix else path / "contents" / "images" / "2560x1600.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 40)).save(path)
    monkeypatch.setattr(wallpapers, "_unpacked", lambda package, _, __: tmp_path / package / "usr" / "share")
    result = CliRunner().invoke(wallpapers.main, [str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out" / "photographs").glob("*.png"))) == 31
    assert len(list((tmp_path / "out" / "validation").glob("*.png"))) == 6
    assert {path.stem for path in (tmp_path / "out" / "styles").iterdir()} == {"painting", "pattern", "tiles"}


def test_nothing_is_both_trained_on_and_for_validation():
    seen, kept = (
        {file for files in photographs.values() for file in files}
        for photographs in (wallpapers.PHOTOGRAPHS, wallpapers.VALIDATION)
    )
    assert seen.isdisjoint(kept)


def test_without_debian_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt-get is missing: the wallpapers are packages of Debian"):
        wallpapers._unpacked("mate-backgrounds", tmp_path, None)
