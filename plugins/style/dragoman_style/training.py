"""Training: content, style and smoothness of stylised images, per sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_style.network import StyleNet
from dragoman_timm.style import gram, total_variation

__all__ = ["LAYERS", "StyleTraining", "grams_of"]

#: Style losses, and the ports of a VGG whose maps they compare.
LAYERS = {f"conv{k + 1}": f"stage.{k}" for k in range(4)}
_CONTENT = "stage.2"


class StyleTraining(Method):
    r"""Losses of Johnson et al. 2016 (arXiv:1603.08155, equations 2 to 4), in the feature maps of a frozen expert.

    - ``content``: mean squared difference of the maps of the stylised image and the photograph;
    - ``style.LAYER``: squared difference of the Gram matrices of the stylised image and the style;
    - ``smoothness``: total variation, with a fixed weight.

    Each image of a batch gets one of the styles, at random.

    Args:
        network: what is trained.
        expert: a vision expert with map ports, frozen.
        styles: for each style its pictures or tiles, float ``[n, 3, H, W]`` in [0, 1]; or what :func:`grams_of` made of
            them.
        layers: names of the style losses, with the port of each.
        content: port of the content loss.
        smoothness: weight of the total variation.
        learning_rate: peak of Adam's learning rate.
        warmup: steps of linear warm-up.
        clip: largest gradient norm.

    Raises:
        InputError: there are not as many styles as the network knows.
        PortError: the expert has no such port, or it is no map.
    """

    def __init__(
        self,
        network: StyleNet,
        expert: Expert,
        styles: Sequence[Tensor] | Mapping[str, Tensor],
        *,
        layers: Mapping[str, str] | None = None,
        content: str = _CONTENT,
        smoothness: float = 0.1,
        learning_rate: float = 2e-3,
        warmup: int = 50,
        clip: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers, self.content = dict(LAYERS if layers is None else layers), content
        for name in (*self.layers.values(), content):
            if (port := expert.port(name)).modality != "map":
                raise PortError(f"Style transfer looks at maps, but port {port} is none.")
        self.network, self.expert = network, expert
        self.smoothness, self.learning_rate, self.warmup, self.clip = smoothness, learning_rate, warmup, clip
        grams = styles if isinstance(styles, Mapping) else grams_of(expert, styles, self.layers)
        for name in self.layers:
            if len(grams[name]) != network.styles:
                raise InputError(f"The network knows {network.styles} styles, but {len(grams[name])} were given.")
            self.register_buffer(_key(name), grams[name].float(), persistent=False)

    def phases(self) -> Sequence[Phase]:
        """One, over the network; the expert stays."""
        moving = list(self.network.parameters())
        weights = {"smoothness": self.smoothness}
        return (Phase("style", moving, self.learning_rate, weights=weights, warmup=self.warmup, clip=self.clip),)

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``content``, ``style.LAYER`` and ``smoothness`` of ``batch["image"]``, ``[B, 3, H, W]`` in [0, 1]."""
        images = batch["image"]
        assert isinstance(images, Tensor)
        drawn = torch.randint(self.network.styles, (len(images),), generator=generator, device=generator.device)
        style = drawn.to(images.device)
        return self.judge(self.network(images, style), images, style)

    def judge(self, made: Tensor, images: Tensor, style: Tensor) -> Losses:
        """The losses of stylised images ``[B, 3, H, W]`` of photographs in the styles of the given numbers."""
        ports = sorted({*self.layers.values(), self.content})
        maps = self.expert.encode_many(made, ports)
        with torch.no_grad():
            wanted = self.expert.encode(images, self.content)
        found = maps[self.content]
        assert isinstance(found, Tensor)
        assert isinstance(wanted, Tensor)
        losses = {"content": (found - wanted).square().flatten(1).mean(dim=1)}
        for name, port in self.layers.items():
            each = maps[port]
            assert isinstance(each, Tensor)
            difference = gram(each) - getattr(self, _key(name))[style]
            losses[f"style.{name}"] = difference.square().sum(dim=(1, 2))
        return losses | {"smoothness": total_variation(made)}


@torch.no_grad()
def grams_of(expert: Expert, styles: Sequence[Tensor], layers: Mapping[str, str]) -> dict[str, Tensor]:
    """For each layer the mean Gram matrix of each style, ``[styles, C, C]``."""
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    for tiles in styles:
        maps = expert.encode_many(tiles, list(layers.values()))
        for name, port in layers.items():
            found = maps[port]
            assert isinstance(found, Tensor)
            rows[name].append(gram(found).mean(dim=0))
    return {name: torch.stack(each) for name, each in rows.items()}


def _key(name: str) -> str:
    return "gram_" + name.replace(".", "_")
