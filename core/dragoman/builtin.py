"""What the core itself offers, by the same hooks as any plugin."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import MethodCard
from dragoman.hookspecs import hookimpl

__all__ = ["register_methods"]


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer the method that trains a translator on pairs."""
    register(
        MethodCard(
            name="paired",
            target="dragoman.training.paired:Paired",
            summary="Minimise a translator's own losses over pairs of representations",
            losses=("nll",),
        )
    )
