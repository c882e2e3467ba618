"""Checkpoints of CLIP and SigLIP in a folder: reading one, or saying in one sentence why not.

Nothing is fetched and no code of a checkpoint runs: files are local, remote code is never trusted, and configuration
keys that name other files or kernels to load are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragoman.errors import PackageError
from dragoman.pretrained import model_config, read_network, read_tokenizer
from dragoman_clip.library import AutoTokenizer, CLIPModel, PreTrainedModel, SiglipModel

__all__ = ["MODELS", "Sizes", "known_config", "load_network", "load_tokenizer", "sizes_of"]

#: Classes of networks by ``model_type``.
MODELS: dict[str, type[PreTrainedModel]] = {"clip": CLIPModel, "siglip": SiglipModel}


@dataclass(frozen=True)
class Sizes:
    """What a configuration says of the ports.

    Attributes:
        embedding: length of the common embeddings.
        text_width: of the text tower's hidden states.
        text_layers: of the text tower.
        width: of the vision tower's hidden states.
        layers: of the vision tower.
        grid: patches along each side of an image.
        channels: of an image.
        image: side of the square image in pixels.
    """

    embedding: int
    text_width: int
    text_layers: int
    width: int
    layers: int
    grid: int
    channels: int
    image: int


def known_config(config: Mapping[str, Any]) -> Any:
    """The configuration of transformers for the content of a ``config.json``.

    Raises:
        PackageError: it is of another architecture, or of values that make no network.
    """
    if config.get("model_type") not in MODELS:
        known = " nor ".join(MODELS)
        raise PackageError(f"The checkpoint is of architecture {config.get('model_type')!r}, which is neither {known}.")
    return model_config(config)


def sizes_of(config: Mapping[str, Any]) -> Sizes:
    """The sizes that a ``config.json`` fixes, transformers' defaults for what it leaves out.

    Raises:
        PackageError: it is of another architecture.
    """
    known = known_config(config)
    text, vision = known.text_config, known.vision_config
    embedding = known.projection_dim if config["model_type"] == "clip" else vision.hidden_size
    grid = vision.image_size // vision.patch_size
    towers = text.hidden_size, text.num_hidden_layers, vision.hidden_size, vision.num_hidden_layers
    return Sizes(embedding, *towers, grid, vision.num_channels, vision.image_size)


def load_network(folder: Path, config: Mapping[str, Any]) -> PreTrainedModel:
    """Both towers with their stored weights, complete and finite.

    Raises:
        PackageError: weights are missing, damaged, not finite, or do not fit the configuration.
    """
    known = known_config(config)
    network = read_network(MODELS[config["model_type"]], folder, known)
    assert isinstance(network, PreTrainedModel)
    return network


def load_tokenizer(folder: Path, network: PreTrainedModel) -> Any:
    """The tokenizer that belongs to a text tower.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the tower has embeddings.
    """
    return read_tokenizer(AutoTokenizer, folder, int(network.config.text_config.vocab_size), "text tower")
