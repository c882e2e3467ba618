"""The registry: model packages in folders and on the Hugging Face Hub, written, verified and checked."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import FormatCard, StoreCard, TranslatorCard
from dragoman.hookspecs import hookimpl

__all__ = ["register_formats", "register_stores", "register_translators"]

_ALL = ("vector", "tokens", "map", "image", "label")


@hookimpl
def register_stores(register: Callable[[StoreCard], None]) -> None:
    """Offer folders, asked first, and the Hugging Face Hub, asked last."""
    register(
        StoreCard(
            name="folder",
            target="dragoman_registry.stores:FolderStore",
            summary="Models in a local folder",
            priority=10,
        )
    )
    register(
        StoreCard(
            name="hub",
            target="dragoman_registry.stores:HubStore",
            summary="Models on the Hugging Face Hub, as NAMESPACE/NAME[@REVISION]",
            priority=90,
        )
    )


@hookimpl
def register_formats(register: Callable[[FormatCard], None]) -> None:
    """Offer the package format."""
    register(
        FormatCard(
            name="package",
            target="dragoman_registry.format:PackageFormat",
            summary="A manifest (config.json), safetensors, a card, and test vectors",
        )
    )


@hookimpl
def register_translators(register: Callable[[TranslatorCard], None]) -> None:
    """Offer the chain of translators that a route becomes."""
    register(
        TranslatorCard(
            name="chain",
            target="dragoman_registry.chain:Chain",
            summary="Trained translators one after the other; made by `dragoman route`, not trained",
            takes=_ALL,
            gives=_ALL,
        )
    )
