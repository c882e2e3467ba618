"""T5 text encoders for Dragoman, through transformers."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["T5", "register_experts"]

_SCALE = "not normalised"

#: Encoders of T5, of its versions 1.0 and 1.1, and of the models tuned from them.
T5 = ExpertCard(
    name="t5",
    target="dragoman_t5.expert:T5",
    summary="Text encoders of T5; the large ones run in half precision, or from the CPU block by block",
    ports=(
        Port("tokens", "tokens", ("tokens", "width"), normalisation=_SCALE, gives=True, summary="all tokens"),
        Port("pooled", "vector", ("width",), normalisation=_SCALE, gives=True, summary="masked token mean"),
    ),
    repo="google-t5/t5-small",
    checkpoints=(
        "google-t5/t5-base",
        "google-t5/t5-large",
        "google/flan-t5-small",
        "google/flan-t5-base",
        "google/flan-t5-large",
        "google/flan-t5-xl",
        "google/flan-t5-xxl",
        "google/t5-v1_1-small",
        "google/t5-v1_1-base",
        "google/t5-v1_1-large",
        "google/t5-v1_1-xl",
        "google/t5-v1_1-xxl",
    ),
    licence="apache-2.0",
    citation="Raffel et al. 2020, arXiv:1910.10683; Chung et al. 2022, arXiv:2210.11416",
    reads=("text",),
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the encoder."""
    register(T5)
