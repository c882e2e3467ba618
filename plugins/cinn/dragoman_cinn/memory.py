"""What training will take, told before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dragoman.representation import Representation, Tokens
from dragoman_cinn.translator import CINN

__all__ = ["TrainingMemory", "training_memory"]


class TrainingMemory(NamedTuple):
    """Bytes that training holds at its peak.

    Attributes:
        parameters: the weights and buffers.
        gradients: one value for each weight.
        optimizer: the optimiser's running averages.
        activations: what autograd keeps of one batch for the backward pass.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(self)


def training_memory(
    translator: CINN, batch_size: int = 256, *, moments: int = 2, tokens: int = 32, side: int = 64
) -> TrainingMemory:
    """Count the bytes that float32 training of a translator holds, without allocating them.

    The activations are counted in a dry run on the meta device, so a translator that does not fit can be asked too:
    build it under ``torch.device("meta")``.

    Args:
        translator: what will be trained.
        batch_size: samples per step.
        moments: running averages per weight: 2 for Adam, 3 with AMSGrad, one more for a moving average of the weights.
        tokens: longest token sequence, for token conditions.
        side: height and width of spatial conditions.
    """
    with torch.device("meta"):
        twin = type(translator)(**translator.config).to("meta")
    weights = sum(_bytes(parameter) for parameter in twin.parameters())
    buffers = sum(_bytes(buffer) for buffer in twin.buffers())
    condition = _empty_condition(twin.config["condition"], batch_size, tokens, side)
    target = torch.empty(batch_size, twin.config["target"], device="meta")
    return TrainingMemory(weights + buffers, weights, moments * weights, _saved_bytes(twin, target, condition))


def _saved_bytes(translator: CINN, target: Tensor, condition: Representation) -> int:
    """Bytes of the distinct tensors that autograd saves, the weights left out."""
    known = {_storage(tensor) for tensor in (*translator.parameters(), *translator.buffers())}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in known:
            saved.setdefault(_storage(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # The graph has to live until the count is done: a storage's address is its identity only while it exists.
        loss = translator.losses(target, condition)["nll"]
        count = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    del loss
    return count


def _empty_condition(condition: Mapping[str, Any], batch_size: int, tokens: int, side: int) -> Representation:
    features = condition["features"]
    if condition["modality"] == "tokens":
        mask = torch.empty(batch_size, tokens, dtype=torch.bool, device="meta")
        return Tokens(torch.empty(batch_size, tokens, features, device="meta"), mask)
    spatial = (side, side) if condition["modality"] in ("map", "image") else ()
    return torch.empty(batch_size, features, *spatial, device="meta")


def _bytes(tensor: Tensor | nn.Parameter) -> int:
    return tensor.numel() * tensor.element_size()


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
