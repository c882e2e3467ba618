"""The style critic: how far the texture of images is from that of style images, and how rough they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from dragoman.expert import Expert
from dragoman.representation import Representation
from dragoman_timm.perceptual import content_losses
from dragoman_timm.taps import TapCritic

__all__ = ["Style", "gram", "total_variation"]


class Style(TapCritic):
    """Style reconstruction loss (Gatys, Ecker, Bethge 2016; Johnson et al. 2016, arXiv:1603.08155, equations 3 and 4).

    By default the taps are ``relu1_2``, ``relu2_2``, ``relu3_3`` and ``relu4_3`` of VGG-16.

    Args:
        expert: the vision expert; frozen.
        taps: map ports of the expert, each with the weight of its loss.
        content: weight of the content losses, for style transfer.
        smoothness: weight of the total variation.
    """

    default_taps: ClassVar[Mapping[str, float]] = {f"stage.{k}": 1.0 for k in range(4)}

    def __init__(
        self,
        expert: Expert,
        taps: Mapping[str, float] | None = None,
        *,
        content: float = 1.0,
        smoothness: float = 1.0,
    ) -> None:
        super().__init__(expert, taps)
        self.content, self.smoothness = content, smoothness

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """``style.TAP`` for each tap and ``total_variation``, ``[B]`` each.

        Args:
            outputs: images, float ``[B, C, H, W]`` in [0, 1].
            condition: images with the style, ``[B, C, H, W]`` or one for all, ``[1, C, H, W]``, in [0, 1].
            **context: with ``content``, images of the same form, there is also ``content.TAP`` for each tap.

        Raises:
            InputError: the condition or the content is no such batch of images.
        """
        maps, styles = self.maps(outputs), self.reference_maps(condition, outputs)
        losses = {f"style.{tap}": weight * _gram_distance(maps[tap], styles[tap]) for tap, weight in self.taps.items()}
        if "content" in context:
            weights = {tap: self.content * weight for tap, weight in self.taps.items()}
            losses |= content_losses(weights, maps, self.reference_maps(context["content"], outputs))
        return losses | {"total_variation": self.smoothness * total_variation(outputs)}


def gram(maps: Tensor) -> Tensor:
    r"""Gram matrices ``F F^\top / (C h w)``, ``[B, C, C]``, of feature maps ``[B, C, h, w]`` as ``F`` ``[C, h w]``."""
    flat = maps.flatten(2)
    return flat @ flat.mT / flat[0].numel()


def total_variation(images: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbouring pixels over the number of values, ``[B]``.

    Rudin, Osher and Fatemi 1992, in its anisotropic form; a side of one pixel has no neighbours and counts 0.
    """
    vertical, horizontal = images.diff(dim=2).abs(), images.diff(dim=3).abs()
    pixels = images[0].numel()
    return (vertical.sum(dim=(1, 2, 3)) + horizontal.sum(dim=(1, 2, 3))) / pixels


def _gram_distance(maps: Tensor, references: Tensor) -> Tensor:
    return (gram(maps) - gram(references)).square().sum(dim=(1, 2))
