"""Taps: the ports of an expert at which a critic looks, checked before and while they are used."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.ports import Port, describe_shape

__all__ = ["default_taps", "fixed_shape", "read_taps", "taps_of"]

#: Taps of the published bank, by the name on the expert's card, where the checkpoint has them.
_PUBLISHED = {"clip": ("patches.4", "patches.8", "image")}
#: Ports that classify rather than see.
_ANSWERS = ("logits", "label", "text")


def default_taps(expert: Expert, name: str = "") -> tuple[str, ...]:
    """Where a critic looks unless it is told: the published taps, else the last map, else the last vector.

    Args:
        expert: the vision expert.
        name: name on its card.

    Raises:
        PortError: the expert gives neither maps nor vectors.
    """
    if set(_PUBLISHED.get(name, ("",))) <= expert.ports.keys():
        return _PUBLISHED[name]
    given = [port for port in expert.ports.values() if port.gives and port.name not in _ANSWERS]
    maps = [port.name for port in given if port.modality == "map"]
    vectors = [port.name for port in given if port.modality == "vector"]
    if "features" in maps:
        return ("features",)
    if not maps and not vectors:
        raise PortError(f"{name or type(expert).__name__} gives neither maps nor vectors, so no critic can look there.")
    return ((maps or vectors)[-1],)


def taps_of(expert: Expert, names: Sequence[str], who: str) -> tuple[Port, ...]:
    """The ports of these names.

    Args:
        expert: the vision expert.
        names: at least one, none twice.
        who: what the critic is called, for messages.

    Raises:
        InputError: there are none, or one is named twice.
        PortError: a port does not exist, does not give, is neither map nor vector, or has no fixed size.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"Critic {who!r} needs one or more different taps, not {list(names)}.")
    ports = tuple(expert.port(name) for name in names)
    for port in ports:
        if not port.gives or port.modality not in ("map", "vector"):
            raise PortError(f"Critic {who!r} looks at maps and vectors that an expert gives; port {port} is no such.")
        fixed_shape(port)
    return ports


def fixed_shape(port: Port) -> tuple[int, ...]:
    """The shape of one sample at a port.

    Raises:
        PortError: the checkpoint does not fix it.
    """
    sizes = tuple(size for size in port.shape if isinstance(size, int))
    if len(sizes) < len(port.shape):
        raise PortError(f"A head needs fixed sizes, but port {port} has none.")
    return sizes


def read_taps(expert: Expert, images: Tensor, taps: Sequence[Port], who: str) -> list[Tensor]:
    """What an expert sees at each tap, float32.

    Args:
        expert: the vision expert.
        images: ``[B, C, H, W]`` in [0, 1].
        taps: its ports.
        who: what the critic is called, for messages.

    Raises:
        PortError: the expert gives another shape than it says.
    """
    found = expert.encode_many(images, [port.name for port in taps])
    return [_checked(found[port.name], port, len(images), who) for port in taps]


def _checked(value: object, port: Port, count: int, who: str) -> Tensor:
    expected = (count, *fixed_shape(port))
    if not isinstance(value, Tensor) or tuple(value.shape) != expected:
        found = describe_shape(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
        raise PortError(
            f"The expert of critic {who!r} gives {found} at port {port.name!r}, but says {describe_shape(expected)}."
        )
    return value.float()
