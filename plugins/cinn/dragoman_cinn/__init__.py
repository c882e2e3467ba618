"""Conditional invertible networks as Dragoman translators."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import TranslatorCard
from dragoman.hookspecs import hookimpl

__all__ = ["register_translators"]


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer the conditional invertible network."""
    register(
        TranslatorCard(
            name="cinn",
            target="dragoman_cinn.translator:CINN",
            summary="Conditional normalizing flow of affine couplings: samples, likelihoods and exact edits of vectors",
            takes=("vector", "tokens", "map", "image"),
            gives=("vector",),
            citation="Rombach, Esser, Ommer 2020, Network-to-Network Translation with Conditional Invertible Neural "
            "Networks, arXiv:2005.13580",
        )
    )
