"""CLIP and SigLIP for Dragoman, through transformers: images and texts in one space, and a critic of their likeness."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import CriticCard, ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["CLIP", "SIMILARITY", "register_critics", "register_experts"]

_UNIT, _SCALE = "unit norm", "not normalised"
_REPO = "openai/clip-vit-base-patch32"

#: Contrastive pairs of encoders: CLIP of any publisher in the layout of transformers, and SigLIP.
CLIP = ExpertCard(
    name="clip",
    target="dragoman_clip.expert:Clip",
    summary="Images and texts in one space; hidden.K and patches.K give any layer of the text and the vision tower",
    ports=(
        Port("text", "vector", ("embedding",), normalisation=_UNIT, gives=True, summary="of texts"),
        Port("image", "vector", ("embedding",), normalisation=_UNIT, gives=True, summary="of images"),
        Port("tokens", "tokens", ("tokens", "hidden"), normalisation=_SCALE, gives=True, summary="all, of texts"),
        Port("patches", "map", ("width", "rows", "columns"), normalisation=_SCALE, gives=True, summary="of images"),
    ),
    repo=_REPO,
    checkpoints=(
        "openai/clip-vit-base-patch16",
        "openai/clip-vit-large-patch14",
        "openai/clip-vit-large-patch14-336",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "google/siglip-base-patch16-224",
        "google/siglip-so400m-patch14-384",
    ),
    licence="mit",
    citation="Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023, arXiv:2303.15343",
    reads=("text", "image"),
)

#: Cosine of image and text.
SIMILARITY = CriticCard(
    name="clip-similarity",
    target="dragoman_clip.similarity:ClipSimilarity",
    summary="How well images fit their texts, by the cosine of CLIP's embeddings",
    losses=("similarity",),
    repo=_REPO,
    licence="mit",
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the encoders."""
    register(CLIP)


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    """Offer the critic."""
    register(SIMILARITY)
