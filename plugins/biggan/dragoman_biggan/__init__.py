"""BigGAN and BigGAN-deep generators for Dragoman."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, MethodCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["BIGGAN", "CONDITIONAL_GAN", "register_experts", "register_methods"]

_CITATION = "Brock, Donahue, Simonyan 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis, "

#: Both published families; which one a checkpoint is follows from its ``config.json``.
BIGGAN = ExpertCard(
    name="biggan",
    target="dragoman_biggan.expert:BigGAN",
    summary="Class-conditional generators BigGAN and BigGAN-deep: a latent z and a class embedding to an image",
    ports=(
        Port("latent", "vector", ("latent",), takes=True, summary="z and class embedding, one after the other"),
        Port("class_embedding", "vector", ("embedding",), gives=True, takes=True, summary="decoded with z= or a draw"),
        Port("label", "label", (), dtype="int64", takes=True, summary="class number, decoded with z= or a draw"),
        Port("z", "vector", ("z",), summary="can be drawn; needs a class to be decoded"),
        Port("image", "image", ("channels", "resolution", "resolution"), normalisation="[0, 1]", summary="the output"),
    ),
    repo="osanseviero/BigGAN-deep-128",
    licence="other",
    citation=_CITATION + "arXiv:1809.11096",
    reads=("label",),
)

CONDITIONAL_GAN = MethodCard(
    name="conditional-gan",
    target="dragoman_biggan.adversarial:ConditionalGAN",
    summary="Adversarial training of a class-conditional generator with the hinge loss and a projection discriminator",
    losses=("d_real", "d_fake", "g_fake"),
    citation=_CITATION + "arXiv:1809.11096; Miyato, Koyama 2018, cGANs with Projection Discriminator, arXiv:1802.05637",
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the generators."""
    register(BIGGAN)


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer the method that trains BigGAN."""
    register(CONDITIONAL_GAN)
