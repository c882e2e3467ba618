"""Class embeddings of a frozen BigGAN, tuned by a classifier (Li, Mai, Alcorn, Nguyen 2020, arXiv:1910.04760)."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, TranslatorCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["register_experts", "register_translators"]

_CITATION = "Li, Mai, Alcorn, Nguyen 2020, A cost-effective method for improving and re-purposing large, pre-trained "


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer the table of tuned embeddings."""
    register(
        TranslatorCard(
            name="class-embedding",
            target="dragoman_tuning.translator:ClassEmbedding",
            summary="Class names or numbers to latents of BigGAN: a drawn z, and an embedding tuned by a classifier",
            takes=("text", "label"),
            citation=_CITATION + "GANs by fine-tuning their class-embeddings, arXiv:1910.04760",
        )
    )


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the reader of class names, which a fusion needs in front of the table."""
    register(
        ExpertCard(
            name="class-names",
            target="dragoman_tuning.names:ClassNames",
            summary="Hands texts on as they are, for translators that know names",
            ports=(Port("name", "text", gives=True),),
            licence="apache-2.0",
            reads=("text",),
        )
    )
