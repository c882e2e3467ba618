"""Pairs of a condition and a target representation: made by experts, cached on disk, or brought by the user."""

from dragoman.pairs.files import FilePairs
from dragoman.pairs.generated import GeneratedPairs, Pairs
from dragoman.pairs.store import PairStore, build_store

__all__ = ["FilePairs", "GeneratedPairs", "PairStore", "Pairs", "build_store"]
