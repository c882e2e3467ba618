"""StyleGAN2 generator, discriminator and training for Dragoman."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, MethodCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["ADVERSARIAL", "STYLEGAN2", "register_experts", "register_methods"]

_CITATION = "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958"

#: Ports of a class-conditional checkpoint with discriminator; others lack ``label``, or ``features`` and ``pooled``.
STYLEGAN2 = ExpertCard(
    name="stylegan2",
    target="dragoman_stylegan2.expert:StyleGAN2",
    summary="Style-based generator and, where the checkpoint has it, its discriminator's features",
    ports=(
        Port("w", "vector", ("w",), normalisation="as mapped", takes=True, summary="one style for all layers"),
        Port("w_plus", "vector", ("layers * w",), normalisation="as mapped", takes=True, summary="a style per layer"),
        Port("z", "vector", ("z",), normalisation="standard normal", takes=True, summary="what is mapped to styles"),
        Port("label", "label", (), dtype="int64", takes=True, summary="class number, decoded with z= or a draw"),
        Port("image", "image", ("channels", "resolution", "resolution"), normalisation="[0, 1]", summary="the output"),
        Port("features", "map", ("features", 4, 4), gives=True, summary="the discriminator's last residual block"),
        Port("pooled", "vector", ("features",), gives=True, summary="mean of features over positions"),
    ),
    licence="other",
    citation=_CITATION,
    reads=("image",),
)

ADVERSARIAL = MethodCard(
    name="stylegan2",
    target="dragoman_stylegan2.adversarial:AdversarialStyleGAN2",
    summary="Adversarial training of StyleGAN2: logistic loss, lazy R1 and path-length penalties, style mixing",
    losses=("g_fake", "path_length", "d_fake", "d_real", "r1"),
    citation=_CITATION + "; Karras et al. 2020, Training Generative Adversarial Networks with Limited Data,"
    " arXiv:2006.06676",
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the expert."""
    register(STYLEGAN2)


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer the method that trains it."""
    register(ADVERSARIAL)
