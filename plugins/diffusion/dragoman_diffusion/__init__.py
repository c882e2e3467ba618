"""Diffusion, super-resolution cascades, diffusion priors and flow matching as Dragoman translators."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import ExpertCard, StoreCard, TranslatorCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["register_experts", "register_stores", "register_translators"]

_IMAGEN = "Saharia et al. 2022, Photorealistic Text-to-Image Diffusion Models, arXiv:2205.11487"


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer the translators of vectors and those of images."""
    register(
        TranslatorCard(
            name="flow-matching",
            target="dragoman_diffusion.flow_matching:FlowMatching",
            summary="Straight paths from noise to vectors, sampled in few steps; likelihoods and edits by integration",
            takes=("vector", "tokens", "map", "image"),
            gives=("vector",),
            citation="Lipman et al. 2023, Flow Matching for Generative Modeling, arXiv:2210.02747",
        )
    )
    register(
        TranslatorCard(
            name="diffusion-prior",
            target="dragoman_diffusion.prior:DiffusionPrior",
            summary="Causal transformer that predicts clean vectors from noisy ones; the better of two samples is kept",
            takes=("vector", "tokens", "map", "image"),
            gives=("vector",),
            citation="Ramesh et al. 2022, Hierarchical Text-Conditional Image Generation, arXiv:2204.06125",
        )
    )
    register(
        TranslatorCard(
            name="diffusion",
            target="dragoman_diffusion.diffusion:Diffusion",
            summary="Diffusion of pixels by a U-Net with cross-attention and classifier-free guidance",
            takes=("vector", "tokens"),
            gives=("image",),
            citation=_IMAGEN,
        )
    )
    register(
        TranslatorCard(
            name="diffusion-cascade",
            target="dragoman_diffusion.cascade:Cascade",
            summary="Diffusion at low resolution and super-resolution stages after it, each trained on its own",
            takes=("vector", "tokens"),
            gives=("image",),
            citation=_IMAGEN,
        )
    )


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer pixels as a port, for translators that make images themselves."""
    register(
        ExpertCard(
            name="pixels",
            target="dragoman_diffusion.pixels:Pixels",
            summary="No network: images as they are, at one size, for translators that make images themselves",
            ports=(Port("image", "image", ("channels", "height", "width"), "float32", "[0, 1]", True, True),),
            repo="pixels/3x64x64",
            checkpoints=("pixels/1x16x16", "pixels/1x32x32", "pixels/3x256x256", "pixels/3x1024x1024"),
            licence="apache-2.0",
            reads=("image",),
        )
    )


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer the sizes of the expert ``pixels`` as addresses."""
    register(
        StoreCard(
            name="pixels",
            target="dragoman_diffusion.pixels:PixelStore",
            summary="Sizes of images, as pixels/CHANNELSxHEIGHTxWIDTH",
            priority=20,
        )
    )
