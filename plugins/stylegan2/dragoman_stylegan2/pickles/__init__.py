"""Reading official ``.pkl`` files without unpickling them: nothing in a file is ever executed or imported."""

from dragoman_stylegan2.pickles.read import Record, read_pickle

__all__ = ["Record", "read_pickle"]
