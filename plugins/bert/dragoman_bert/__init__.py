"""BERT-family text encoders for Dragoman, through transformers."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["BERT", "register_experts"]

_SCALE = "not normalised"

#: Bidirectional text encoders: any checkpoint of the families in :data:`dragoman_bert.checkpoint.FAMILIES`.
BERT = ExpertCard(
    name="bert",
    target="dragoman_bert.expert:Bert",
    summary="Text encoders of the BERT family; hidden.K gives any hidden layer, hidden.0 the embeddings",
    ports=(
        Port("pooled", "vector", ("hidden",), normalisation=_SCALE, gives=True, summary="masked token mean"),
        Port("cls", "vector", ("hidden",), normalisation=_SCALE, gives=True, summary="first token"),
        Port("tokens", "tokens", ("tokens", "hidden"), normalisation=_SCALE, gives=True, summary="all tokens"),
    ),
    repo="sentence-transformers/all-MiniLM-L6-v2",
    checkpoints=(
        "google-bert/bert-base-uncased",
        "google-bert/bert-large-uncased",
        "sentence-transformers/bert-base-nli-stsb-mean-tokens",
    ),
    licence="apache-2.0",
    citation="Devlin et al. 2019, arXiv:1810.04805; Reimers and Gurevych 2019, arXiv:1908.10084",
    reads=("text",),
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the encoder."""
    register(BERT)
