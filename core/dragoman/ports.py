"""Ports: the named places at which experts give and take representations, and the check that two of them fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dragoman.errors import PortError

__all__ = ["MODALITIES", "Port", "check_fit", "choose_port", "describe_shape"]

#: What travels through a port, with its Python form.
MODALITIES: dict[str, str] = {
    "text": "list of str",
    "image": "float tensor [B, C, H, W] in [0, 1]",
    "vector": "float tensor [B, D]",
    "tokens": "Tokens(values [B, T, D], mask [B, T])",
    "map": "float tensor [B, C, H, W], channels first",
    "label": "int64 tensor [B]",
}


@dataclass(frozen=True)
class Port:
    """One place at which an expert gives (``encode``) or takes (``decode``) a representation.

    Args:
        name: the name that users write after the colon, as in ``bert:pooled``.
        modality: a key of :data:`MODALITIES`.
        shape: the shape of one sample, without the batch. A string stands for a size that the checkpoint
            or the input fixes (``("hidden",)`` on a card becomes ``(384,)`` on a loaded expert).
        dtype: torch's name of the element type.
        normalisation: how values are scaled, in words (``"unit norm"``, ``"[0, 1]"``, ``"standard normal"``).
        gives: whether ``encode`` produces this port.
        takes: whether ``decode`` accepts this port.
        summary: one line for people.

    Raises:
        PortError: the modality is not one of :data:`MODALITIES`.
    """

    name: str
    modality: str
    shape: tuple[int | str, ...] = ()
    dtype: str = "float32"
    normalisation: str = ""
    gives: bool = False
    takes: bool = False
    summary: str = ""

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            known = ", ".join(MODALITIES)
            raise PortError(f"Port {self.name!r} has modality {self.modality!r}; the modalities are {known}.")

    def __str__(self) -> str:
        return f"{self.name} ({self.modality} {describe_shape(self.shape)})"

    def to_dict(self) -> dict[str, Any]:
        """The port as JSON-ready data."""
        return asdict(self) | {"shape": list(self.shape)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Port:
        """The port that :meth:`to_dict` described; unknown keys are an error."""
        return cls(**{**data, "shape": tuple(data["shape"])})


def describe_shape(shape: tuple[int | str, ...]) -> str:
    """``(384,)`` as ``[384]``."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def check_fit(given: Port, given_by: str, taken: Port, taken_by: str) -> None:
    """Raise unless what ``given_by`` gives at one port is what ``taken_by`` takes at the other.

    Modality, dtype and every size that both sides fix have to be equal; a size named by a string fits any.

    Raises:
        PortError: one sentence that names both sides, both ports and both shapes.

    >>> text = Port("pooled", "vector", (768,))
    >>> check_fit(text, "bert", Port("condition", "vector", (384,)), "my-translator")
    Traceback (most recent call last):
    ...
    dragoman.errors.PortError: bert gives pooled (vector [768]), but my-translator takes condition (vector [384]).
    """
    same_form = given.modality == taken.modality and given.dtype == taken.dtype
    if same_form and _shapes_fit(given.shape, taken.shape):
        return
    detail = "" if given.dtype == taken.dtype else f": {given.dtype} is not {taken.dtype}"
    raise PortError(f"{given_by} gives {given}, but {taken_by} takes {taken}{detail}.")


def choose_port(ports: Mapping[str, Port], name: str, owner: str) -> Port:
    """The port of that name.

    Raises:
        PortError: there is none; the sentence lists those that exist.
    """
    if name in ports:
        return ports[name]
    raise PortError(f"{owner} has no port {name!r}; its ports are {', '.join(ports) or 'none'}.")


def _shapes_fit(one: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    if len(one) != len(other):
        return False
    return all(isinstance(a, str) or isinstance(b, str) or a == b for a, b in zip(one, other, strict=True))
