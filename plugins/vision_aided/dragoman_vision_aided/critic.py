"""The critic: a frozen expert, taps on its features, and a head that tells real images from generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.critic import Critic
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.representation import Representation
from dragoman.training.method import Losses
from dragoman_stylegan2.critics import FurtherDiscriminator
from dragoman_vision_aided.adaptive import AdaptiveAugmentation
from dragoman_vision_aided.augment import DiffAugment
from dragoman_vision_aided.heads import Head
from dragoman_vision_aided.objectives import objective
from dragoman_vision_aided.taps import default_taps, read_taps, taps_of

__all__ = ["AUGMENTATIONS", "Heads", "VisionAided"]

#: What may be done to images before the expert sees them.
AUGMENTATIONS = ("none", "diff", "adaptive")


class Heads(nn.Module):
    """Everything of a critic that changes in training: what a checkpoint holds.

    Attributes:
        head: features to logits.
        adaptive: the augmentation that follows the logits, if there is one.
    """

    def __init__(self, head: Head, adaptive: AdaptiveAugmentation | None) -> None:
        super().__init__()
        self.head, self.adaptive = head, adaptive


class VisionAided(FurtherDiscriminator, Critic):
    """A discriminator on the features of a frozen vision expert (Kumari et al. 2022, arXiv:2112.09130).

    Only the head is trained. Each critic sees its own augmented copy of the images. Losses are called ``g_NAME``,
    ``NAME_real`` and ``NAME_fake``.

    Args:
        expert: any expert whose ports give maps or vectors of images; it is frozen, and may be shared. There is none
            that could be assumed.
        name: what the critic is called, different for each critic of a training.
        taps: ports of the expert; :func:`~dragoman_vision_aided.taps.default_taps` when omitted.
        loss: ``"sigmoid"`` or ``"hinge"``.
        real_target: below 1, smoothed labels of real images, in the head's loss alone.
        width: channels of the head.
        num_classes: classes of the projection, 0 for none.
        augmentation: one of :data:`AUGMENTATIONS`.
        adapts_over: images in which the adaptive augmentation can go from never to always.
        weight: factor of the generator's loss.
        warmup: images of training before which the generator does not hear the critic; its head learns meanwhile.
        ramp: images over which the generator's loss then grows to its weight.
        seed: of the head's first weights.

    Raises:
        InputError: an option is out of range.
        PortError: a tap does not exist, or is neither a map nor a vector.
    """

    def __init__(
        self,
        expert: Expert | None = None,
        name: str = "vision-aided",
        taps: Sequence[str] = (),
        *,
        loss: str = "sigmoid",
        real_target: float = 1.0,
        width: int = 256,
        num_classes: int = 0,
        augmentation: str = "diff",
        adapts_over: int = 500_000,
        weight: float = 1.0,
        warmup: int = 0,
        ramp: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if expert is None:
            raise InputError(
                f"The critic {name!r} needs an expert to look with and training; name experts in `dragoman train gan`."
            )
        if augmentation not in AUGMENTATIONS:
            raise InputError(f"There is no augmentation {augmentation!r}; write {', '.join(AUGMENTATIONS)}.")
        if min(width, adapts_over) < 1 or min(warmup, ramp, num_classes) < 0:
            raise InputError(f"Critic {name!r} has a negative or empty width, ramp, warm-up or number of classes.")
        self.expert, self.name = expert.freeze(), name
        self.taps = taps_of(expert, tuple(taps) or default_taps(expert), name)
        self.objective = objective(loss, real_target)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = Head(self.taps, width, num_classes)
        adaptive = AdaptiveAugmentation(ramp=adapts_over) if augmentation == "adaptive" else None
        self.heads: Heads = Heads(head, adaptive)
        self.diff_augment = DiffAugment() if augmentation == "diff" else None
        self.weight, self.warmup, self.ramp = weight, warmup, ramp

    def logits(
        self, images: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Logits ``[B, n]`` of each tap for images in [0, 1]; with a generator, of augmented ones."""
        found: list[Tensor] = self.heads.head(self.features(images, generator), labels)
        return found

    def features(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """What the expert sees at each tap."""
        shown = images if generator is None else self._augmented(images, generator)
        return read_taps(self.expert, shown, self.taps, self.name)

    def losses_of_heads(
        self, real: Tensor, fake: Tensor, labels: Tensor | None, *, generator: torch.Generator
    ) -> Losses:
        """``NAME_real`` and ``NAME_fake``; no gradient enters the expert."""
        with torch.no_grad():
            seen = [self.features(images, generator) for images in (real, fake)]
        on_real, on_fake = (self.heads.head(each, labels) for each in seen)
        if self.heads.adaptive is not None and self.heads.training:
            self.heads.adaptive.adapt(on_real[-1])
        return {
            f"{self.name}_real": self.objective.of_real(on_real),
            f"{self.name}_fake": self.objective.of_fake(on_fake),
        }

    def losses_of_generator(
        self, fake: Tensor, labels: Tensor | None, *, images: int, generator: torch.Generator
    ) -> Losses:
        """``g_NAME``, or nothing during the warm-up, when the expert is not run either."""
        weight = self.weight_at(images)
        if not weight:
            return {}
        return {f"g_{self.name}": weight * self.objective.of_generator(self.logits(fake, labels, generator))}

    def weight_at(self, images: int) -> float:
        """Factor of the generator's loss after so many images of training."""
        if images < self.warmup:
            return 0.0
        return self.weight * (min(1.0, (images - self.warmup) / self.ramp) if self.ramp else 1.0)

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """``g_NAME`` without augmentation and schedule: how generated the outputs look.

        Args:
            outputs: images ``[B, C, H, W]`` in [0, 1].
            condition: not looked at.
            **context: ``labels``, int64 ``[B]``, for class-conditional critics.
        """
        return {f"g_{self.name}": self.objective.of_generator(self.logits(outputs, context.get("labels")))}

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        augment = self.heads.adaptive or self.diff_augment
        return images if augment is None else (augment(images * 2 - 1, generator) + 1) / 2
