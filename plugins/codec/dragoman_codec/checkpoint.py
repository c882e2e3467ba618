"""Checkpoints in a folder: ``config.json``, and weights that are called as CompressAI calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from dragoman.atomic import replacing
from dragoman.errors import InputError, PackageError
from dragoman.weights import check_finite, load_tensors, read_json
from dragoman_codec.hyperprior import Hyperprior

__all__ = ["FILM", "load_network", "read_checkpoint", "save_checkpoint"]

#: Prefix of the modulations' weights.
FILM = "film."
_LISTED = re.compile(r"entropy_bottleneck\._?(matri|bias|factor)(?:ces|es|s)\.(\d)$")
#: Names under which CompressAI keeps numbers that are the same in all of its models.
_CONSTANTS = (
    "gaussian_conditional.scale_bound",
    "gaussian_conditional.likelihood_lower_bound.",
    "entropy_bottleneck.likelihood_lower_bound.",
)
_TABLES = ("_offset", "_quantized_cdf", "_cdf_length")


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the weights in a folder.

    Raises:
        PackageError: files are missing or damaged.
    """
    config, tensors = read_json(folder / "config.json", "codec"), load_tensors(folder)
    check_finite(folder, tensors)
    return config, tensors


def load_network(network: Hyperprior, tensors: Mapping[str, Tensor]) -> None:
    """Weights by name into a network: ours, or those of CompressAI's models of the same architecture.

    Names that CompressAI gave the parameters of the bottleneck over its versions are known. Tables for entropy coding
    are made anew where the checkpoint has none.

    Raises:
        PackageError: weights are missing, too many, or of other sizes; the sentence names one.
    """
    ours = network.state_dict()
    theirs = {_renamed(name): value for name, value in tensors.items() if not name.startswith((FILM, *_CONSTANTS))}
    missing = sorted(name for name in ours if name not in theirs and not name.endswith(_TABLES))
    unknown = sorted(set(theirs) - set(ours))
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"has {unknown[0]} too many"
        raise PackageError(f"The checkpoint {what}, so it is of another architecture than its config.json says.")
    for name, value in theirs.items():
        if name.endswith(_TABLES):
            _set_table(network, name, value)
        elif name.endswith("scale_table") and value.numel() == 0:
            theirs[name] = ours[name]
        elif value.shape != ours[name].shape:
            shapes = f"{list(value.shape)}, not {list(ours[name].shape)}"
            raise PackageError(f"The checkpoint's {name} is of shape {shapes}; N or M in its config.json is wrong.")
    network.load_state_dict(theirs, strict=False)
    if network.entropy_bottleneck._offset.numel() == 0:
        network.entropy_bottleneck.update()
    _check_tables(network)


def save_checkpoint(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``config.json`` and ``model.safetensors``.

    Raises:
        InputError: the folder cannot be written.
    """
    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    texts = {"model.safetensors": content, "config.json": (json.dumps(config, indent=2) + "\n").encode()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in texts.items():
            with replacing(folder / name) as file:
                file.write(data)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.") from error


def _renamed(name: str) -> str:
    """``entropy_bottleneck._biases.0`` and ``entropy_bottleneck.biases.0`` are ``entropy_bottleneck._bias0``."""
    found = _LISTED.fullmatch(name)
    if not found:
        return name
    kind = {"matri": "matrix"}.get(found[1], found[1])
    return f"entropy_bottleneck._{kind}{found[2]}"


def _set_table(network: nn.Module, name: str, value: Tensor) -> None:
    """Tables differ in size from model to model."""
    owner, _, buffer = name.rpartition(".")
    place = network.get_submodule(owner)
    setattr(place, buffer, value.to(getattr(place, buffer).device).int().clone())


def _check_tables(network: Hyperprior) -> None:
    """Refuse tables that nothing can be coded with: whoever wrote them decides what a decoder does."""
    bottleneck = network.entropy_bottleneck
    cdf, lengths = bottleneck._quantized_cdf, bottleneck._cdf_length
    sound = cdf.ndim == 2 and len(cdf) == len(lengths) == len(bottleneck._offset) == network.S
    sound = sound and bool(((lengths >= 3) & (lengths <= cdf.shape[1])).all())
    if not sound or any(not bool((row > 0).all()) for _, row in bottleneck.tables()):
        raise PackageError("The checkpoint's tables of the entropy bottleneck are damaged.")
