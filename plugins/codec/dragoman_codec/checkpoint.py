"""Weights by name into a network: they are called as CompressAI calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from dragoman.errors import PackageError
from dragoman_codec.hyperprior import Hyperprior

__all__ = ["FILM", "load_network"]

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
