"""Networks of timm from a checkpoint's ``config.json``, with or without weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import PackageError
from dragoman_timm.library import timm

__all__ = ["Outputs", "build_network", "channels_first", "outputs_of", "pretrained_cfg_of"]

#: Arguments of a VGG whose layers are not those of a named architecture.
LAYERS = "cfg"


@dataclass(frozen=True)
class Outputs:
    """Shapes, of one image, of what a network gives.

    Attributes:
        stages: of each stage's feature map, channels first.
        features: of the last feature map; empty if the last features are no map.
        pooled: what the classifier reads.
        classes: number of classes, or 0 without a classifier.
    """

    stages: tuple[tuple[int, ...], ...]
    features: tuple[int, ...]
    pooled: int
    classes: int


def pretrained_cfg_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entry ``pretrained_cfg``, on which older checkpoints spread over the whole ``config.json``."""
    return dict(config.get("pretrained_cfg") or config)


def build_network(config: Mapping[str, Any], weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The network that a ``config.json`` of timm describes.

    Beside timm's own architectures, a VGG may have ``model_args.cfg``, its list of widths with ``"M"`` for a pooling:
    small ones are made like that.

    Args:
        config: ``architecture``, ``model_args``, ``num_classes`` and ``pretrained_cfg``.
        weights: the checkpoint's tensors, in the layout of any version that timm converts; random when omitted.

    Raises:
        PackageError: timm has no such architecture, or it does not report its stages.
    """
    architecture, options = _architecture(config), dict(config.get("model_args") or {})
    if "num_classes" in config:
        options.setdefault("num_classes", config["num_classes"])
    make = _small_vgg if LAYERS in options else _create
    # First weights are drawn from the global generator, which must not notice.
    with torch.random.fork_rng(devices=[]):
        network = make(architecture, config, options, weights)
    if not hasattr(network, "forward_intermediates") or not getattr(network, "feature_info", None):
        raise PackageError(f"timm's {architecture!r} does not report its stages, so it has no feature maps.")
    return network


def outputs_of(config: Mapping[str, Any]) -> Outputs:
    """The shapes of a checkpoint's outputs, without weights: the network runs on torch's ``meta`` device."""
    return _outputs(json.dumps(dict(config), sort_keys=True))


@lru_cache(maxsize=32)
def _outputs(config_json: str) -> Outputs:
    config = json.loads(config_json)
    size = timm.data.resolve_data_config(pretrained_cfg=pretrained_cfg_of(config))["input_size"]
    with torch.device("meta"), torch.no_grad():
        network: Any = build_network(config).eval()
        final, maps = network.forward_intermediates(torch.empty(1, *size), output_fmt="NCHW")
        pooled = network.forward_head(final, pre_logits=True)
    last = tuple(channels_first(network, final).shape[1:]) if final.ndim == 4 else ()
    return Outputs(tuple(tuple(m.shape[1:]) for m in maps), last, pooled.shape[1], int(network.num_classes))


def channels_first(network: nn.Module, features: Tensor) -> Tensor:
    """``[B, C, H, W]`` from the last feature map of a network, which Swin and its heirs give as ``[B, H, W, C]``."""
    return features.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else features


def _architecture(config: Mapping[str, Any]) -> str:
    name = config.get("architecture")
    if not isinstance(name, str) or not timm.is_model(name):
        raise PackageError(f"The checkpoint is of architecture {name!r}, which the installed timm does not have.")
    return name


def _create(
    architecture: str, config: Mapping[str, Any], options: Mapping[str, Any], weights: Mapping[str, Tensor] | None
) -> nn.Module:
    known = {field.name for field in fields(timm.models.PretrainedCfg)}
    given = {key: value for key, value in pretrained_cfg_of(config).items() if key in known}
    # Nothing may send timm to the network: what it loads is what was read from the folder. It loads by itself, since
    # it knows how each architecture's older layouts are converted.
    given |= {"url": "", "hf_hub_id": None, "file": None, "source": None, "custom_load": False}
    given |= {"state_dict": None if weights is None else dict(weights)}
    network: Any = timm.create_model(architecture, pretrained=weights is not None, pretrained_cfg=given, **options)
    network.pretrained_cfg["state_dict"] = None
    assert isinstance(network, nn.Module)
    return network


def _small_vgg(
    architecture: str, config: Mapping[str, Any], options: Mapping[str, Any], weights: Mapping[str, Tensor] | None
) -> nn.Module:
    if not architecture.startswith("vgg"):
        raise PackageError(f"model_args.cfg lists the layers of a VGG, but the architecture is {architecture!r}.")
    norm = {"norm_layer": nn.BatchNorm2d} if architecture.endswith("_bn") else {}
    network = timm.models.vgg.VGG(**options, **norm)
    assert isinstance(network, nn.Module)
    if weights is not None:
        network.load_state_dict(dict(weights))
    return network
