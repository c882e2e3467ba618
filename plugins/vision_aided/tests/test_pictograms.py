"""The font of the study, where it is not installed."""

import sys

import pytest

from dragoman.errors import InputError
from dragoman_vision_aided.study.pictograms import _font


def test_a_missing_font_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "manimgx_fonts", None)
    with pytest.raises(InputError, match="pip install 'dragoman-vision-aided"):
        _font(7)
