"""What critics that look at feature maps share: an expert, its taps, and references of the right form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dragoman.critic import Critic
from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman_timm.expert import Vgg

__all__ = ["TapCritic"]


class TapCritic(Critic, Expert):
    """A critic that compares feature maps of images with those of reference images.

    :meth:`from_pretrained` loads a VGG, which then sees whole images. Any other expert with map ports is given to the
    constructor, and sees images as it always does.

    Args:
        expert: the vision expert; frozen.
        taps: map ports of the expert, each with the weight of its loss; :attr:`default_taps` when omitted.

    Raises:
        PortError: the expert has no such port, or it is no map.
        InputError: there are no taps.
    """

    default_taps: ClassVar[Mapping[str, float]]

    def __init__(self, expert: Expert, taps: Mapping[str, float] | None = None) -> None:
        Expert.__init__(self, expert.config)
        self.expert = expert
        self.taps = dict(self.default_taps if taps is None else taps)
        if not self.taps:
            raise InputError(f"{type(self).__name__} needs at least one tap, a map port of its expert.")
        for name in self.taps:
            if (port := expert.port(name)).modality != "map":
                raise PortError(f"{type(self).__name__} looks at maps, but port {port} is none.")

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a VGG checkpoint; see :meth:`from_pretrained`."""
        return cls(Vgg.from_folder(folder).uncropped())

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """A critic has no ports of its own."""
        return {}

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """The feature maps ``[B, C, h, w]`` of images ``[B, C, H, W]`` at each tap."""
        found = self.expert.encode_many(images, list(self.taps))
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    def reference_maps(self, reference: Any, outputs: Tensor) -> dict[str, Tensor]:
        """The feature maps of reference images, one for all outputs or one for each, without gradients.

        Raises:
            InputError: the reference is no such batch of images.
        """
        if not isinstance(reference, Tensor) or reference.ndim != 4 or len(reference) not in (1, len(outputs)):
            what = list(reference.shape) if isinstance(reference, Tensor) else type(reference).__name__
            raise InputError(
                f"{type(self).__name__} compares {len(outputs)} images with reference images [1, C, H, W] or"
                f" [{len(outputs)}, C, H, W], not {what}."
            )
        with torch.no_grad():
            return self.maps(reference)
