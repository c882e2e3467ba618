"""A small trained zoo: BigGAN on Fashion-MNIST, a captioner, a reader, a judge, and the fusions made of them."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import CriticCard, ExpertCard, StoreCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["register_critics", "register_experts", "register_stores"]

_IMAGE = Port("image", "image", (1, 32, 32), normalisation="[0, 1]")
_UNIT, _SCALE = "unit norm", "not normalised"


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the generator, the captioner and the judge."""
    register(
        ExpertCard(
            name="biggan-fashion",
            target="dragoman_biggan.expert:BigGAN",
            summary="BigGAN of 0.4 M parameters on Fashion-MNIST, 32 x 32, 10 classes",
            ports=(
                Port("latent", "vector", (96,), takes=True, summary="z and class embedding"),
                Port("class_embedding", "vector", (32,), gives=True, takes=True),
                Port("label", "label", (), dtype="int64", takes=True),
                Port("z", "vector", (64,)),
                _IMAGE,
            ),
            repo="minizoo/biggan-fashion",
            licence="apache-2.0",
            citation="Brock, Donahue, Simonyan 2019, arXiv:1809.11096",
            captioner="captioner-fashion",
        )
    )
    register(
        ExpertCard(
            name="captioner-fashion",
            target="dragoman_minizoo.captioner:Captioner",
            summary="Says what a garment is, how bright, how wide and how patterned",
            ports=(Port("caption", "text", gives=True),),
            reads=("image",),
            repo="minizoo/captioner-fashion",
            licence="apache-2.0",
        )
    )
    register(
        ExpertCard(
            name="judge-fashion",
            target="dragoman_minizoo.classifier:Classifier",
            summary="Classifier of garments, for evaluation only",
            ports=(
                Port("features", "vector", (128,), gives=True),
                Port("logits", "vector", (10,), gives=True),
            ),
            reads=("image",),
            repo="minizoo/judge-fashion",
            licence="apache-2.0",
        )
    )

    register(
        ExpertCard(
            name="clip-fashion",
            target="dragoman_clip.expert:Clip",
            summary="CLIP of 0.6 M parameters on captioned Fashion-MNIST; texts and images in one space",
            ports=(
                Port("text", "vector", (64,), normalisation=_UNIT, gives=True, summary="of texts"),
                Port("image", "vector", (64,), normalisation=_UNIT, gives=True, summary="of images"),
                Port("tokens", "tokens", ("tokens", 64), normalisation=_SCALE, gives=True, summary="of texts"),
                Port("patches", "map", (96, 7, 7), normalisation=_SCALE, gives=True, summary="of images"),
            ),
            repo="minizoo/clip-fashion",
            licence="apache-2.0",
            citation="Radford et al. 2021, arXiv:2103.00020",
            reads=("text", "image"),
        )
    )


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    """Offer the reader."""
    register(
        CriticCard(
            name="reader-fashion",
            target="dragoman_minizoo.reader:Reader",
            summary="Whether a garment is what a sentence says, by MiniLM's embedding and the captioner's eye",
            losses=("class", "attributes"),
            repo="minizoo/reader-fashion",
            licence="apache-2.0",
        )
    )


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer the models that come with this distribution."""
    register(
        StoreCard(
            name="minizoo",
            target="dragoman_minizoo.store:Bundle",
            summary="Models inside this distribution, as minizoo/NAME, and MiniLM from its package",
            priority=20,
        )
    )
