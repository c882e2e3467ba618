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

__all__ = ["GRAMS", "LAYERS", "StyleTraining", "grams_of", "scales_of"]

#: Style losses, and the ports of a VGG whose maps they compare.
LAYERS = {f"conv{k + 1}": f"stage.{k}" for k in range(4)}
_CONTENT = "stage.2"
#: Name of the file with the Gram matrices and scales, by which a model is judged without the pictures of its styles.
GRAMS = "grams.safetensors"


class StyleTraining(Method):
    r"""Losses of Johnson et al. 2016 (arXiv:1603.08155, equations 2 to 4), in the feature maps of a frozen expert.

    - ``content``: mean squared difference of the maps of the stylised image and the photograph;
    - ``style.LAYER``: squared difference of the Gram matrices of the stylised image and the style;
    - ``smoothness``: total variation.

    With ``scales`` they are relative: 1 is what an image without content loses, and in style what the photograph itself
    loses. Dividing by running means of the losses instead rewards a loss that can nearly vanish again and again: the
    style was then followed to a hundredth of the photograph's distance, whatever its coefficient said.

    Each image of a batch gets one of the styles, at random.

    Args:
        network: what is trained.
        expert: a vision expert with map ports, frozen.
        styles: for each style its pictures or tiles, float ``[n, 3, H, W]`` in [0, 1]; or what :func:`grams_of` made of
            them.
        scales: by loss, ``content`` ``[1]`` and the layers' names ``[styles]``, what it is divided by; see
            :func:`scales_of`.
        layers: names of the style losses, with the port of each.
        content: port of the content loss.
        smoothness: weight of the total variation; leave it at 1 where a family of losses has a coefficient for it.
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
        scales: Mapping[str, Tensor] | None = None,
        layers: Mapping[str, str] | None = None,
        content: str = _CONTENT,
        smoothness: float = 1.0,
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
            self.register_buffer(_key("gram", name), grams[name].float(), persistent=False)
        for name in ("content", *self.layers):
            scale = torch.ones(1) if scales is None else scales[name].float()
            self.register_buffer(_key("scale", name), scale.expand(network.styles), persistent=False)

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
        losses = {"content": (found - wanted).square().flatten(1).mean(dim=1) / self._scale("content", style)}
        for name, port in self.layers.items():
            each = maps[port]
            assert isinstance(each, Tensor)
            difference = gram(each) - getattr(self, _key("gram", name))[style]
            losses[f"style.{name}"] = difference.square().sum(dim=(1, 2)) / self._scale(name, style)
        return losses | {"smoothness": total_variation(made)}

    def _scale(self, name: str, style: Tensor) -> Tensor:
        scale: Tensor = getattr(self, _key("scale", name))
        return scale[style]


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


@torch.no_grad()
def scales_of(
    expert: Expert, grams: Mapping[str, Tensor], photographs: Tensor, layers: Mapping[str, str], content: str = _CONTENT
) -> dict[str, Tensor]:
    """What losses are divided by, so that 1 is far: by loss, ``content`` ``[1]`` and each layer ``[styles]``.

    Args:
        expert: whose maps are compared.
        grams: of the styles, as :func:`grams_of` makes them.
        photographs: float ``[B, 3, H, W]`` in [0, 1].
        layers: names of the style losses, with the port of each.
        content: port of the content loss.

    Returns:
        For the content the variance of its maps, which an image without content would lose; for each layer the mean
        distance of the photographs' Gram matrices from those of each style.
    """
    maps = expert.encode_many(photographs, sorted({*layers.values(), content}))
    seen = maps[content]
    assert isinstance(seen, Tensor)
    scales = {"content": (seen - seen.mean(dim=(0, 2, 3), keepdim=True)).square().mean().view(1)}
    for name, port in layers.items():
        each = maps[port]
        assert isinstance(each, Tensor)
        distances = (gram(each)[:, None] - grams[name]).square().sum(dim=(2, 3))
        scales[name] = distances.mean(dim=0)
    return scales


def _key(kind: str, name: str) -> str:
    return f"{kind}_" + name.replace(".", "_")
