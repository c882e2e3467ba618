"""Cards: what a plugin says of the things it offers, without importing any of them.

A card is data. Its ``target`` names a class as ``"module:Class"``; the module is imported only when the class is
used, so that listing a zoo costs no more than reading the cards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dragoman.errors import PluginError
from dragoman.ports import Port

__all__ = ["Card", "CriticCard", "ExpertCard", "FormatCard", "MethodCard", "StoreCard", "TranslatorCard"]


@dataclass(frozen=True)
class Card:
    """What every offer has in common.

    Args:
        name: how users call it, lower case with hyphens, unique in the zoo.
        target: ``"module:Class"``, imported on use.
        summary: one line for people.
    """

    name: str
    target: str
    summary: str

    def load(self) -> Any:
        """Import the module and return the class.

        Raises:
            PluginError: the module or the class cannot be imported.
        """
        import importlib

        module_name, _, class_name = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), class_name)
        except Exception as error:  # a compiled dependency that does not fit fails with anything, not ImportError alone
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(f"{self.name!r} cannot be used because {self.target} does not load: {reason}.") from error


@dataclass(frozen=True)
class NetworkCard(Card):
    """Something made of torch modules."""

    def load(self) -> Any:
        """Import the module and return the class.

        Raises:
            PluginError: the module or the class cannot be imported.
        """
        from dragoman.operators import mend_torchvision

        # transformers and timm, which most networks are made with, import torchvision.
        mend_torchvision()
        return super().load()


@dataclass(frozen=True)
class ExpertCard(NetworkCard):
    """A frozen pretrained network.

    Args:
        ports: what the expert gives and takes; sizes may be names that the checkpoint fixes.
        repo: address of the default checkpoint (a Hub id, or what an installed store offers).
        checkpoints: addresses of other checkpoints known to load.
        licence: SPDX id of the default checkpoint, or ``"other"``.
        citation: where the network comes from.
        captioner: name of the expert that puts this expert's images into words, for pairs without a dataset.
        reads: modalities of what its ``encode`` takes, keys of :data:`dragoman.ports.MODALITIES`.
    """

    ports: tuple[Port, ...] = ()
    repo: str = ""
    checkpoints: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    captioner: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class TranslatorCard(NetworkCard):
    """A trained network that carries one expert's representation into another expert's space.

    Args:
        takes: modalities that it takes as condition.
        gives: modalities that it produces.
        citation: where the design comes from.
    """

    takes: tuple[str, ...] = ("vector",)
    gives: tuple[str, ...] = ("vector",)
    citation: str = ""


@dataclass(frozen=True)
class CriticCard(NetworkCard):
    """A judge of outputs, for training, ranking and evaluation.

    Args:
        judges: modality of what it judges.
        losses: names of its per-sample losses.
        repo: address of its default weights, if it has any of its own.
        licence: SPDX id of those weights.
    """

    judges: str = "image"
    losses: tuple[str, ...] = ()
    repo: str = ""
    licence: str = ""


@dataclass(frozen=True)
class MethodCard(NetworkCard):
    """A way to learn: which parameters move, on which data, by which named losses.

    Args:
        losses: names of the per-sample losses that it reports.
        citation: where the method comes from.
    """

    losses: tuple[str, ...] = ()
    citation: str = ""


@dataclass(frozen=True)
class StoreCard(Card):
    """A place that addresses resolve to: folders, the Hugging Face Hub, a bundle of small models.

    Args:
        priority: stores are asked in ascending order; the first that accepts an address answers.
    """

    priority: int = 50


@dataclass(frozen=True)
class FormatCard(Card):
    """A way in which a fusion is written to a folder and read back."""
