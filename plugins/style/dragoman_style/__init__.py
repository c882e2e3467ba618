"""Adjustable style transfer for Dragoman."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, MethodCard, StoreCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["BUNDLE", "STYLE", "STYLE_TRANSFER", "register_experts", "register_methods", "register_stores"]

_CITATION = (
    "Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155; Dumoulin, Shlens, Kudlur 2017, arXiv:1610.07629; "
    "Babaeizadeh, Ghiasi 2018, arXiv:1811.08560"
)

STYLE = ExpertCard(
    name="style",
    target="dragoman_style.expert:StyleTransfer",
    summary="Photographs in a style, with a knob for the content and for each layer of the style",
    ports=(
        Port("photo", "image", (3, "height", "width"), normalisation="[0, 1]", gives=True, takes=True),
        Port("image", "image", (3, "height", "width"), normalisation="[0, 1]", summary="the output"),
    ),
    repo="style/mini",
    licence="apache-2.0",
    citation=_CITATION,
    reads=("image",),
)

STYLE_TRANSFER = MethodCard(
    name="style-transfer",
    target="dragoman_style.training:StyleTraining",
    summary="A network that stylises in one pass, learned from the feature maps of any vision expert",
    losses=("content", "style.conv1", "style.conv2", "style.conv3", "style.conv4", "smoothness"),
    citation=_CITATION,
)

BUNDLE = StoreCard(
    name="style",
    target="dragoman_style.store:StyleBundle",
    summary="Style models that come with the distribution dragoman-style",
    priority=20,
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the network that stylises."""
    register(STYLE)


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer the method that trains it."""
    register(STYLE_TRANSFER)


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer what is installed with this distribution."""
    register(BUNDLE)
