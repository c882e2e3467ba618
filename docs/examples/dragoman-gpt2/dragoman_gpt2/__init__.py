"""GPT-2 as a text expert for Dragoman: the card. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["CARD", "register_experts"]

_SCALE = "not normalised"

CARD = ExpertCard(
    name="gpt2",
    target="dragoman_gpt2.expert:GPT2",
    summary="GPT-2: the last hidden states of a language model that has read the text",
    ports=(
        Port("pooled", "vector", ("hidden",), normalisation=_SCALE, gives=True, summary="mean of all tokens"),
        Port("last", "vector", ("hidden",), normalisation=_SCALE, gives=True, summary="last token, which saw them all"),
        Port("tokens", "tokens", ("tokens", "hidden"), normalisation=_SCALE, gives=True, summary="all tokens"),
    ),
    repo="openai-community/gpt2",
    checkpoints=("openai-community/gpt2-medium", "openai-community/gpt2-large", "distilbert/distilgpt2"),
    licence="mit",
    citation="Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    reads=("text",),
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the expert."""
    register(CARD)
