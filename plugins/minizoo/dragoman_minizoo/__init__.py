"""A small trained zoo on Fashion-MNIST: generators, encoders, classifiers, captioner, reader, and fusions of them."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import CriticCard, ExpertCard, StoreCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = [
    "BIGGAN",
    "CAPTIONER",
    "CLIP",
    "JUDGE",
    "STYLEGAN2",
    "SWIN",
    "VGG",
    "register_critics",
    "register_experts",
    "register_stores",
]

_IMAGE = Port("image", "image", (1, 32, 32), normalisation="[0, 1]")
_UNIT, _SCALE = "unit norm", "not normalised"


BIGGAN = ExpertCard(
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

CAPTIONER = ExpertCard(
    name="captioner-fashion",
    target="dragoman_minizoo.captioner:Captioner",
    summary="Says what a garment is, how bright, how wide and how patterned",
    ports=(
        Port("caption", "text", gives=True),
        Port("features", "vector", (96,), gives=True),
    ),
    reads=("image",),
    repo="minizoo/captioner-fashion",
    licence="apache-2.0",
)

JUDGE = ExpertCard(
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

CLIP = ExpertCard(
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

VGG = ExpertCard(
    name="vgg-fashion",
    target="dragoman_timm.expert:Vgg",
    summary="VGG with batch normalisation, of 1.0 M parameters, classifier on Fashion-MNIST",
    ports=(
        Port("pooled", "vector", (4096,), normalisation=_SCALE, gives=True, summary="what the classifier reads"),
        Port("features", "map", (128, 2, 2), normalisation=_SCALE, gives=True),
        Port("stage.0", "map", (32, 32, 32), normalisation=_SCALE, gives=True),
        Port("stage.1", "map", (64, 16, 16), normalisation=_SCALE, gives=True),
        Port("stage.2", "map", (96, 8, 8), normalisation=_SCALE, gives=True),
        Port("stage.3", "map", (128, 4, 4), normalisation=_SCALE, gives=True),
        Port("stage.4", "map", (128, 2, 2), normalisation=_SCALE, gives=True),
        Port("logits", "vector", (10,), normalisation=_SCALE, gives=True),
        Port("label", "label", (), dtype="int64", gives=True),
    ),
    repo="minizoo/vgg-fashion",
    licence="apache-2.0",
    citation="Simonyan and Zisserman 2015, arXiv:1409.1556",
    reads=("image",),
)

SWIN = ExpertCard(
    name="swin-fashion",
    target="dragoman_timm.expert:Swin",
    summary="Swin transformer of 0.6 M parameters, classifier on Fashion-MNIST",
    ports=(
        Port("pooled", "vector", (128,), normalisation=_SCALE, gives=True, summary="mean of the normalised features"),
        Port("features", "map", (128, 4, 4), normalisation=_SCALE, gives=True),
        Port("stage.0", "map", (32, 16, 16), normalisation=_SCALE, gives=True),
        Port("stage.1", "map", (64, 8, 8), normalisation=_SCALE, gives=True),
        Port("stage.2", "map", (128, 4, 4), normalisation=_SCALE, gives=True),
        Port("logits", "vector", (10,), normalisation=_SCALE, gives=True),
        Port("label", "label", (), dtype="int64", gives=True),
    ),
    repo="minizoo/swin-fashion",
    licence="apache-2.0",
    citation="Liu et al. 2021, arXiv:2103.14030",
    reads=("image",),
)

STYLEGAN2 = ExpertCard(
    name="stylegan2-fashion",
    target="dragoman_stylegan2.expert:StyleGAN2",
    summary="StyleGAN2 of 0.4 M parameters on Fashion-MNIST, 32 x 32, 10 classes, with its discriminator",
    ports=(
        Port("w", "vector", (64,), normalisation="as mapped", takes=True, summary="one style for all layers"),
        Port("w_plus", "vector", (512,), normalisation="as mapped", takes=True, summary="a style per layer"),
        Port("z", "vector", (64,), normalisation="standard normal", takes=True),
        Port("label", "label", (), dtype="int64", takes=True),
        _IMAGE,
        Port("features", "map", (96, 4, 4), gives=True, summary="the discriminator's last residual block"),
        Port("pooled", "vector", (96,), gives=True, summary="mean of features over positions"),
    ),
    repo="minizoo/stylegan2-fashion",
    licence="apache-2.0",
    citation="Karras et al. 2020, arXiv:1912.04958",
    captioner="captioner-fashion",
    reads=("image",),
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer generators, classifiers, encoders and the captioner."""
    for card in (BIGGAN, CAPTIONER, CLIP, JUDGE, STYLEGAN2, SWIN, VGG):
        register(card)


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
