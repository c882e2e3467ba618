"""The captioner's eye as a classifier, where the mini zoo is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from dragoman.cards import ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["register_experts"]


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the guide, unless there is no mini zoo to take it from."""
    if find_spec("dragoman_minizoo") is None:
        return
    register(
        ExpertCard(
            name="guide-fashion",
            target="dragoman_tuning.guide:Guide",
            summary="The captioner's classifier of garments, to tune embeddings against",
            ports=(
                Port("features", "vector", (96,), gives=True),
                Port("logits", "vector", (10,), gives=True),
            ),
            repo="minizoo/captioner-fashion",
            licence="apache-2.0",
            reads=("image",),
        )
    )
