"""Features of images on the disk, under the content that they were computed from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dragoman_registry.atomic import replace_file

__all__ = ["FeatureCache", "default_cache"]


def default_cache() -> Path:
    """``dragoman/features`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dragoman" / "features"


class FeatureCache:
    """Features by network and images; a file that is damaged is computed again.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, network: str, images: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """The features, computed unless they are there.

        Args:
            network: what the features follow from, beside the images: weights and port.
            images: ``[N, ...]``.
            compute: gives ``[N, D]``.
        """
        path = self.folder / f"{_key(network, images)}.safetensors"
        try:
            features = load_file(path)["features"]
            if len(features) == len(images):
                return features
        except (OSError, SafetensorError, KeyError):
            pass
        features = compute()
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, save({"features": features.contiguous()}))
        return features


def _key(network: str, images: Tensor) -> str:
    content = images.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{network} {content.dtype} {list(content.shape)}".encode())
    digest.update(content.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
