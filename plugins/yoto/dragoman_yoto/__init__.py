"""Loss-conditional training for Dragoman, and the beta-VAE as its small case."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, MethodCard, TranslatorCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = [
    "BETA_VAE",
    "CONDITIONAL_TRANSLATOR",
    "LOSS_CONDITIONAL",
    "VAE_TRAINING",
    "register_experts",
    "register_methods",
    "register_translators",
]

_YOTO = "Dosovitskiy, Djolonga 2020, You Only Train Once: Loss-Conditional Training of Deep Networks, ICLR"
_BETA_VAE = (
    "Higgins et al. 2017, beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, ICLR"
)

#: Wraps a method; reports the losses of that method, each times its coefficient.
LOSS_CONDITIONAL = MethodCard(
    name="loss-conditional",
    target="dragoman_yoto.method:LossConditional",
    summary="One network over a whole range of loss coefficients, around any method with named per-sample losses",
    citation=_YOTO,
)

#: Wraps a translator, so that ``dragoman fuse`` can train it so.
CONDITIONAL_TRANSLATOR = TranslatorCard(
    name="loss-conditional",
    target="dragoman_yoto.translator:LossConditionalTranslator",
    summary="Another translator over a whole range of its loss coefficients, which become knobs of the fusion",
    takes=("vector", "tokens"),
    citation=_YOTO,
)

VAE_TRAINING = MethodCard(
    name="beta-vae",
    target="dragoman_yoto.vae_training:VAETraining",
    summary="Variational autoencoder with a weight beta on the divergence from the prior",
    losses=("reconstruction", "kl"),
    citation=_BETA_VAE,
)

BETA_VAE = ExpertCard(
    name="beta-vae",
    target="dragoman_yoto.vae_expert:BetaVAE",
    summary="Small variational autoencoder; trained loss-conditionally it has the knob beta",
    ports=(
        Port("latent", "vector", ("latent",), normalisation="standard normal prior", gives=True, takes=True),
        Port("image", "image", ("channels", "size", "size"), normalisation="[0, 1]", summary="the output"),
    ),
    citation=_BETA_VAE,
    reads=("image",),
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the autoencoder."""
    register(BETA_VAE)


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer the translator that wraps another one."""
    register(CONDITIONAL_TRANSLATOR)


@hookimpl
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer loss-conditional training, and the method that it is tried on."""
    register(LOSS_CONDITIONAL)
    register(VAE_TRAINING)
