"""Checkpoints of T5 in a folder: reading the encoder, or saying in one sentence why not.

Nothing is fetched and no code of a checkpoint runs: files are local, remote code is never trusted, and configuration
keys that name other files or kernels to load are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dragoman.errors import PackageError
from dragoman.pretrained import model_config, read_network, read_tokenizer
from dragoman_t5.library import AutoTokenizer, PreTrainedModel, T5EncoderModel

__all__ = ["load_network", "load_tokenizer", "width_of"]


def width_of(config: Mapping[str, Any]) -> int:
    """Width of the hidden states.

    Raises:
        PackageError: the configuration is of another architecture, or lacks the width.
    """
    if config.get("model_type") != "t5":
        raise PackageError(f"The checkpoint is of architecture {config.get('model_type')!r}, not 't5'.")
    width = config.get("d_model")
    if not isinstance(width, int) or width < 1:
        raise PackageError(f"The checkpoint's config.json gives no usable d_model: {width!r}.")
    return width


def load_network(folder: Path, config: Mapping[str, Any], dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The encoder with its stored weights, complete and finite; a decoder in the files is not read.

    Args:
        folder: where the files are.
        config: content of ``config.json``.
        dtype: type of the weights, converted tensor by tensor; as stored when omitted.

    Raises:
        PackageError: weights are missing, damaged, not finite, or do not fit the configuration.
    """
    width_of(config)
    network = read_network(T5EncoderModel, folder, model_config(config), dtype=dtype or "auto")
    assert isinstance(network, PreTrainedModel)
    return network


def load_tokenizer(folder: Path, network: PreTrainedModel) -> Any:
    """The tokenizer that belongs to an encoder, from ``tokenizer.json`` or sentencepiece's ``spiece.model``.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the encoder has embeddings.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model")):
        raise PackageError(f"{folder} holds no tokenizer: neither tokenizer.json nor spiece.model.")
    return read_tokenizer(AutoTokenizer, folder, int(network.config.vocab_size), "encoder")
