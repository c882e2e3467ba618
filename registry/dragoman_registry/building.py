"""Building a translator again from a configuration that may be hostile, no larger than its weights say it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy

from dragoman.errors import PackageError
from dragoman.translator import Translator

__all__ = ["build_translator"]

# What a translator may have beyond what it saves: modules without tensors, tables that it computes, parts that it
# replaces while it is built. Generous, since the point is to stop a billion layers, not to count.
_SLACK = 8
_FREE_MODULES = 1024
_FREE_ELEMENTS = 2**24


class _TooLargeError(Exception):
    """What is built has outgrown the weights that are there for it."""


def build_translator(
    kind: type[Translator], name: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Translator:
    """Build a translator and give it its weights.

    Args:
        kind: the translator's class.
        name: the name on its card, for messages.
        config: keyword arguments of the class.
        tensors: its state, as saved.

    Raises:
        PackageError: the configuration does not build, builds something far larger than the weights, or something
            that the weights do not fit.
    """
    try:
        # Fresh modules draw their initial weights from the global generator; nobody else should notice.
        with _no_larger_than(tensors), torch.random.fork_rng(devices=[]):
            translator = kind(**config)
    except _TooLargeError:
        raise PackageError(
            f"The configuration of translator {name!r} describes a network far larger than its weights; it is damaged."
        ) from None
    except Exception as error:
        reason = " ".join(str(error).split())
        raise PackageError(
            f"Translator {name!r} cannot be built from the package's configuration: {reason}."
        ) from error
    _check_shapes(translator.state_dict(), tensors, name)
    translator.load_state_dict(dict(tensors))
    return translator.eval()


@contextmanager
def _no_larger_than(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Stop the construction of modules, in this thread, once they outgrow the tensors."""
    modules = _Counter(_FREE_MODULES + _SLACK * len(tensors))
    elements = _Counter(_FREE_ELEMENTS + _SLACK * sum(tensor.numel() for tensor in tensors.values()))

    def count_module(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        modules.add(1)

    def count_tensor(parent: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is not None and not is_lazy(tensor):
            elements.add(tensor.numel())

    with ExitStack() as stack:
        for handle in (
            hooks.register_module_module_registration_hook(count_module),
            hooks.register_module_parameter_registration_hook(count_tensor),
            hooks.register_module_buffer_registration_hook(count_tensor),
        ):
            stack.callback(handle.remove)
        yield


class _Counter:
    def __init__(self, limit: int) -> None:
        self.left, self.thread = limit, threading.get_ident()

    def add(self, amount: int) -> None:
        # The hooks are global: other threads may build what they like meanwhile.
        if threading.get_ident() == self.thread:
            self.left -= amount
        if self.left < 0 and threading.get_ident() == self.thread:
            raise _TooLargeError


def _check_shapes(built: Mapping[str, Tensor], stored: Mapping[str, Tensor], name: str) -> None:
    for key in sorted(built.keys() | stored.keys()):
        if key not in built or key not in stored:
            raise PackageError(
                f"The weights do not fit translator {name!r}: tensor {key!r} is"
                f" {'missing from' if key in built else 'unknown but in'} the package."
            )
        if built[key].shape != stored[key].shape:
            raise PackageError(
                f"The weights do not fit translator {name!r}: tensor {key!r} has shape {list(stored[key].shape)}"
                f" in the package, but the configuration says {list(built[key].shape)}."
            )
