"""Learned image compression for Dragoman."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, MethodCard, StoreCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["BUNDLE", "CODEC", "RATE_DISTORTION", "register_experts", "register_methods", "register_stores"]

_CITATION = (
    "Balle, Minnen, Singh, Hwang, Johnston 2018, Variational image compression with a scale hyperprior, "
    "arXiv:1802.01436; Minnen, Balle, Toderici 2018, arXiv:1809.02736"
)

CODEC = ExpertCard(
    name="codec",
    target="dragoman_codec.expert:Codec",
    summary="Image codecs with a hyperprior, to real bitstreams; one network for all qualities",
    ports=(
        Port("latent", "map", ("channels", "height", "width"), normalisation="integers", gives=True, takes=True),
        Port("image", "image", (3, "height", "width"), normalisation="[0, 1]", summary="the output"),
    ),
    repo="codec/mini",
    licence="apache-2.0",
    citation=_CITATION,
    reads=("image",),
)

BUNDLE = StoreCard(
    name="codec",
    target="dragoman_codec.store:CodecBundle",
    summary="The codec that comes with the distribution dragoman-codec",
    priority=20,
)

RATE_DISTORTION = MethodCard(
    name="rate-distortion",
    target="dragoman_codec.training:RateDistortion",
    summary="Bits per pixel plus lambda times the squared error, of a codec with a hyperprior",
    losses=("rate", "distortion"),
    citation=_CITATION,
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the codec."""
    register(CODEC)


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer the method that trains it."""
    register(RATE_DISTORTION)


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer what is installed with this distribution."""
    register(BUNDLE)
