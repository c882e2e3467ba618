"""Checkpoints of CLIP and SigLIP in a folder: reading one, or saying in one sentence why not.

Nothing is fetched and no code of a checkpoint runs: files are local, remote code is never trusted, and configuration
keys that name other files or kernels to load are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dragoman.errors import PackageError
from dragoman.pretrained import architecture, check_complete, check_tokenizer, quiet
from dragoman.weights import check_finite, failures_named, has_safetensors
from dragoman_clip.library import AutoConfig, AutoTokenizer, CLIPModel, PreTrainedModel, SiglipModel

__all__ = ["MODELS", "Sizes", "load_network", "load_tokenizer", "model_config", "sizes_of"]

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


def model_config(config: Mapping[str, Any]) -> Any:
    """The configuration of transformers for the content of a ``config.json``.

    Raises:
        PackageError: it is of another architecture, or of values that make no network.
    """
    family = config.get("model_type")
    if family not in MODELS:
        known = " nor ".join(MODELS)
        raise PackageError(f"The checkpoint is of architecture {family!r}, which is neither {known}.")
    options = {key: _tower(value) if key.endswith("_config") else value for key, value in architecture(config).items()}
    try:
        with quiet():
            return AutoConfig.for_model(options.pop("model_type"), **options)
    except Exception as error:  # whatever a value of the wrong kind causes
        reason = " ".join(str(error).split())[:200]
        raise PackageError(f"The checkpoint's config.json describes no {family}: {reason}.") from error


def sizes_of(config: Mapping[str, Any]) -> Sizes:
    """The sizes that a ``config.json`` fixes, transformers' defaults for what it leaves out.

    Raises:
        PackageError: it is of another architecture.
    """
    known = model_config(config)
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
    known = model_config(config)
    safetensors = has_safetensors(folder)
    # What is missing is drawn at random before that is noticed; the global generator must not.
    with failures_named("weights", folder), quiet(), torch.random.fork_rng(devices=[]):
        loaded: Any = MODELS[config["model_type"]].from_pretrained(
            folder,
            config=known,
            use_safetensors=safetensors,
            weights_only=True,
            output_loading_info=True,
            local_files_only=True,
        )
    network, report = loaded
    check_complete(folder, report["missing_keys"])
    assert isinstance(network, PreTrainedModel)
    check_finite(folder, network.state_dict())
    return network


def load_tokenizer(folder: Path, network: PreTrainedModel) -> Any:
    """The tokenizer that belongs to a text tower.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the tower has embeddings.
    """
    with failures_named("tokenizer", folder), quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Without vocabulary files transformers silently builds a tokenizer that knows its special tokens only.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise PackageError(f"{folder} holds no tokenizer vocabulary (tokenizer.json or the family's own files).")
    check_tokenizer(folder, tokenizer, int(network.config.text_config.vocab_size), "text tower")
    return tokenizer


def _tower(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return architecture(config)
