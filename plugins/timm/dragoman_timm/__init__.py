"""Image backbones for Dragoman, through timm, and critics that look with their feature maps."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import CriticCard, ExpertCard
from dragoman.hookspecs import hookimpl
from dragoman.ports import Port

__all__ = ["PERCEPTUAL", "STYLE", "SWIN_TINY", "TIMM", "VGG16", "register_critics", "register_experts"]

_SCALE = "not normalised"


def _vector(name: str, size: int | str, summary: str) -> Port:
    return Port(name, "vector", (size,), normalisation=_SCALE, gives=True, summary=summary)


def _map(name: str, *shape: int | str) -> Port:
    return Port(name, "map", shape, normalisation=_SCALE, gives=True, summary="feature map, channels first")


_LABEL = Port("label", "label", (), dtype="int64", gives=True, summary="most likely class")

#: VGG with 16 layers; stages end before a pooling, except the last, which is the last pooling.
VGG16 = ExpertCard(
    name="vgg16",
    target="dragoman_timm.expert:Vgg",
    summary="VGG image classifiers; stage.0 to stage.4 are relu1_2, relu2_2, relu3_3, relu4_3, relu5_3",
    ports=(
        _vector("pooled", 4096, "what the classifier reads"),
        _map("features", 512, 7, 7),
        _map("stage.0", 64, 224, 224),
        _map("stage.1", 128, 112, 112),
        _map("stage.2", 256, 56, 56),
        _map("stage.3", 512, 28, 28),
        _map("stage.4", 512, 14, 14),
        _map("stage.5", 512, 7, 7),
        _vector("logits", 1000, "class logits"),
        _LABEL,
    ),
    repo="timm/vgg16.tv_in1k",
    checkpoints=("timm/vgg16_bn.tv_in1k", "timm/vgg19.tv_in1k", "timm/vgg11.tv_in1k"),
    licence="bsd-3-clause",
    citation="Simonyan and Zisserman 2015, arXiv:1409.1556",
    reads=("image",),
)

#: Swin transformers of the first version.
SWIN_TINY = ExpertCard(
    name="swin_tiny",
    target="dragoman_timm.expert:Swin",
    summary="Swin transformers, hierarchical vision transformers with shifted windows",
    ports=(
        _vector("pooled", 768, "mean of the normalised features"),
        _map("features", 768, 7, 7),
        _map("stage.0", 96, 56, 56),
        _map("stage.1", 192, 28, 28),
        _map("stage.2", 384, 14, 14),
        _map("stage.3", 768, 7, 7),
        _vector("logits", 1000, "class logits"),
        _LABEL,
    ),
    repo="timm/swin_tiny_patch4_window7_224.ms_in1k",
    checkpoints=(
        "timm/swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
        "timm/swin_small_patch4_window7_224.ms_in1k",
        "timm/swin_base_patch4_window7_224.ms_in22k_ft_in1k",
    ),
    licence="mit",
    citation="Liu et al. 2021, arXiv:2103.14030",
    reads=("image",),
)

#: Any other architecture of timm that reports its stages.
TIMM = ExpertCard(
    name="timm",
    target="dragoman_timm.expert:Timm",
    summary="Any backbone of timm: timm:ARCHITECTURE[.TAG] or timm=REPOSITORY, as in timm:resnet50.a1_in1k:stage.2",
    ports=(
        _vector("pooled", "width", "what the classifier reads"),
        _map("features", "channels", "height", "width"),
        _map("stage.0", "channels", "height", "width"),
        _vector("logits", "classes", "class logits"),
        _LABEL,
    ),
    checkpoints=("timm/resnet50.a1_in1k", "timm/convnext_tiny.in12k_ft_in1k", "timm/vit_base_patch16_224.dino"),
    licence="other",
    citation="Wightman 2019, github.com/huggingface/pytorch-image-models",
    reads=("image",),
)

#: Distances between feature maps of two images.
PERCEPTUAL = CriticCard(
    name="perceptual",
    target="dragoman_timm.perceptual:Perceptual",
    summary="Feature distance to a reference image, by VGG-16 or any expert with map ports",
    losses=("content.stage.1", "content.stage.2"),
    repo="timm/vgg16.tv_in1k",
    licence="bsd-3-clause",
)

#: Distances between Gram matrices.
STYLE = CriticCard(
    name="style",
    target="dragoman_timm.style:Style",
    summary="Gram distance to a style image and total variation, by VGG-16 or any expert with map ports",
    losses=("style.stage.0", "style.stage.1", "style.stage.2", "style.stage.3", "total_variation"),
    repo="timm/vgg16.tv_in1k",
    licence="bsd-3-clause",
)


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    """Offer the backbones."""
    for card in (VGG16, SWIN_TINY, TIMM):
        register(card)


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    """Offer the critics."""
    for card in (PERCEPTUAL, STYLE):
        register(card)
