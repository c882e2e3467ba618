"""The hooks that a plugin may implement.

A plugin is a module named by an entry point of the group ``dragoman``::

    [project.entry-points.dragoman]
    my-plugin = "my_package"

The module holds cards only and imports nothing heavy: it is loaded by everything that lists the zoo. Each hook gets
a ``register`` callback and calls it once per card.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from dragoman.cards import CriticCard, ExpertCard, FormatCard, MethodCard, StoreCard, TranslatorCard

__all__ = [
    "hookimpl",
    "register_critics",
    "register_experts",
    "register_formats",
    "register_methods",
    "register_stores",
    "register_translators",
]

hookspec = pluggy.HookspecMarker("dragoman")
#: Marks a function of a plugin module as the implementation of the hook of the same name.
hookimpl = pluggy.HookimplMarker("dragoman")


@hookspec
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer frozen pretrained networks.

    Args:
        register: call it once for each :class:`~dragoman.cards.ExpertCard`. The card's target is a subclass of
            :class:`dragoman.Expert`.

    Example::

        @hookimpl
        def register_experts(register):
            register(
                ExpertCard(
                    name="distilbert",
                    target="dragoman_distilbert.expert:DistilBert",
                    summary="DistilBERT text encoder",
                    ports=(Port("pooled", "vector", ("hidden",), gives=True),),
                    repo="distilbert/distilbert-base-uncased",
                    licence="apache-2.0",
                )
            )

    Since 0.1.
    """


@hookspec
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer translators between representations.

    Args:
        register: call it once for each :class:`~dragoman.cards.TranslatorCard`. The card's target is a subclass of
            :class:`dragoman.Translator`.

    Example::

        @hookimpl
        def register_translators(register):
            register(
                TranslatorCard(
                    name="linear-gaussian",
                    target="my_package.translator:LinearGaussian",
                    summary="Gaussian whose mean is linear in the condition",
                )
            )

    Since 0.1.
    """


@hookspec
def register_critics(register: Callable[[CriticCard], None]) -> None:
    """Offer judges of outputs.

    Args:
        register: call it once for each :class:`~dragoman.cards.CriticCard`. The card's target is a subclass of
            :class:`dragoman.Critic`.

    Example::

        @hookimpl
        def register_critics(register):
            register(
                CriticCard(
                    name="sharpness",
                    target="my_package.critic:Sharpness",
                    summary="Energy of the image Laplacian",
                    losses=("blur",),
                )
            )

    Since 0.1.
    """


@hookspec
def register_methods(register: Callable[[MethodCard], None]) -> None:
    """Offer ways to train.

    Args:
        register: call it once for each :class:`~dragoman.cards.MethodCard`. The card's target is a subclass of
            :class:`dragoman.training.Method`.

    Example::

        @hookimpl
        def register_methods(register):
            register(
                MethodCard(
                    name="distill",
                    target="my_package.method:Distill",
                    summary="Regress a student onto a teacher's features",
                    losses=("distance",),
                )
            )

    Since 0.1.
    """


@hookspec
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer places from which experts and fusions are read.

    Args:
        register: call it once for each :class:`~dragoman.cards.StoreCard`. The card's target is a class with the
            methods of :class:`dragoman.stores.Store`.

    Example::

        @hookimpl
        def register_stores(register):
            register(
                StoreCard(
                    name="lab-share",
                    target="my_package.store:LabShare",
                    summary="Models on the lab's file server, as lab:NAME",
                    priority=40,
                )
            )

    Since 0.1.
    """


@hookspec
def register_formats(register: Callable[[FormatCard], None]) -> None:
    """Offer ways in which a fusion is written to a folder and read back.

    Args:
        register: call it once for each :class:`~dragoman.cards.FormatCard`. The card's target is a class with the
            methods of :class:`dragoman.formats.Format`. Fusions are saved in the first format registered.

    Example::

        @hookimpl
        def register_formats(register):
            register(
                FormatCard(
                    name="package",
                    target="dragoman_registry.format:PackageFormat",
                    summary="config.json and safetensors",
                )
            )

    Since 0.1.
    """
