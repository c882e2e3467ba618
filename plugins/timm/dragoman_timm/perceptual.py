"""The perceptual critic: how far the content of images is from that of reference images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from dragoman.representation import Representation
from dragoman_timm.taps import TapCritic

__all__ = ["Perceptual", "content_losses"]


class Perceptual(TapCritic):
    """Feature reconstruction loss (Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155, equation 2).

    By default the taps are ``relu2_2`` and ``relu3_3`` of VGG-16.
    """

    default_taps: ClassVar[Mapping[str, float]] = {"stage.1": 1.0, "stage.2": 1.0}

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """``content.TAP`` for each tap, ``[B]`` each: the mean squared difference of the feature maps.

        Args:
            outputs: images, float ``[B, C, H, W]`` in [0, 1].
            condition: what they should look like, images ``[B, C, H, W]`` or ``[1, C, H, W]`` in [0, 1].
            **context: not used.

        Raises:
            InputError: the condition is no such batch of images.
        """
        return content_losses(self.taps, self.maps(outputs), self.reference_maps(condition, outputs))


def content_losses(
    taps: Mapping[str, float], maps: Mapping[str, Tensor], references: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """``content.TAP``, ``[B]``: ``weight * mean((map - reference)^2)`` over channels and positions."""
    return {
        f"content.{tap}": weight * (maps[tap] - references[tap]).square().flatten(1).mean(dim=1)
        for tap, weight in taps.items()
    }
