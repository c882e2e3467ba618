"""A small VGG that learns to see from photographs alone, for machines that cannot have a pretrained one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.training.crops import Crops
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_timm.architecture import build_network
from dragoman_timm.expert import Vgg

__all__ = ["Recognition", "Sources", "config_of", "expert_of"]

_WIDTHS = (24, "M", 48, "M", 96, "M", 96, "M")


def config_of(classes: int, size: int) -> dict[str, Any]:
    """The ``config.json`` of a VGG of four stages, as timm writes it.

    Args:
        classes: how many photographs it tells apart.
        size: side of its images.
    """
    given = {"input_size": [3, size, size], "crop_pct": 1.0, "mean": [0.45] * 3, "std": [0.25] * 3}
    return {
        "architecture": "vgg11",
        "num_classes": classes,
        "model_args": {"cfg": list(_WIDTHS), "mlp_ratio": 1 / 64, "in_chans": 3},
        "pretrained_cfg": {**given, "interpolation": "bicubic", "num_classes": classes},
    }


def expert_of(config: dict[str, Any], network: nn.Module) -> Vgg:
    """The trained network as an expert."""
    return Vgg(config, network).freeze()


class Sources:
    """Crops, and the number of the picture that each comes from.

    Args:
        pictures: uint8 ``[3, H, W]`` each.
        size: side of the crops.
    """

    def __init__(self, pictures: Sequence[Tensor], size: int) -> None:
        self.each = [Crops([picture], size) for picture in pictures]

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``{"image": [size, 3, S, S], "source": [size]}``."""
        source = torch.randint(len(self.each), (size,), generator=generator)
        crops = [self.each[int(one)].batch(1, generator)["image"] for one in source]
        return {"image": torch.cat([crop for crop in crops if isinstance(crop, Tensor)]), "source": source}


class Recognition(Method):
    """Cross entropy of the photograph that a crop was taken from, as seen under another light.

    Args:
        config: of :func:`config_of`.
        learning_rate: peak of Adam's learning rate.
    """

    def __init__(self, config: dict[str, Any], *, learning_rate: float = 2e-3) -> None:
        super().__init__()
        self.network, self.learning_rate = build_network(config), learning_rate

    def phases(self) -> Sequence[Phase]:
        """One."""
        return (Phase("eye", list(self.network.parameters()), self.learning_rate, warmup=50, clip=1.0),)

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``source`` of ``batch["image"]`` and ``batch["source"]``."""
        images, source = batch["image"], batch["source"]
        assert isinstance(images, Tensor)
        assert isinstance(source, Tensor)
        # Without it, the mean colour alone would give most photographs away.
        light = 1 + 0.4 * (torch.rand(len(images), 3, 1, 1, generator=generator, device=generator.device) - 0.5)
        logits = self.network((images * light.to(images) - 0.45) / 0.25)
        return {"source": functional.cross_entropy(logits, source, reduction="none")}
