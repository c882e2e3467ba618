"""Dragoman: frozen pretrained networks, and the small trained parts that let them work together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dragoman._version import __version__

if TYPE_CHECKING:
    from dragoman.cards import CriticCard, ExpertCard, MethodCard, StoreCard, TranslatorCard
    from dragoman.critic import Critic
    from dragoman.errors import DragomanError
    from dragoman.expert import Atoms, Expert
    from dragoman.fusion import Fusion, load
    from dragoman.hookspecs import hookimpl
    from dragoman.ports import Port
    from dragoman.representation import Tokens
    from dragoman.translator import Translator

# Names and the modules that hold them: importing dragoman costs nothing until one of them is used.
_LAZY = {
    "Atoms": "expert",
    "Critic": "critic",
    "CriticCard": "cards",
    "DragomanError": "errors",
    "Expert": "expert",
    "ExpertCard": "cards",
    "Fusion": "fusion",
    "MethodCard": "cards",
    "Port": "ports",
    "StoreCard": "cards",
    "Tokens": "representation",
    "Translator": "translator",
    "TranslatorCard": "cards",
    "hookimpl": "hookspecs",
    "load": "fusion",
}

__all__ = [
    "Atoms",
    "Critic",
    "CriticCard",
    "DragomanError",
    "Expert",
    "ExpertCard",
    "Fusion",
    "MethodCard",
    "Port",
    "StoreCard",
    "Tokens",
    "Translator",
    "TranslatorCard",
    "__version__",
    "hookimpl",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"dragoman.{_LAZY[name]}"), name)
