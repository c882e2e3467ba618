"""Endpoints: one port of one expert, written ``NAME[=ADDRESS][:PORT]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dragoman.cards import ExpertCard
from dragoman.errors import DragomanError, InputError, PortError
from dragoman.plugins import zoo
from dragoman.ports import Port

if TYPE_CHECKING:
    import torch

    from dragoman.expert import Expert
    from dragoman.representation import Representation

__all__ = ["Endpoint", "EndpointSpec", "load_expert"]


@dataclass(frozen=True)
class EndpointSpec:
    """What a user wrote: ``bert``, ``bert:cls``, ``bert=google-bert/bert-base-uncased:pooled``.

    Attributes:
        expert: name of the expert's card, possibly qualified by its distribution.
        address: the checkpoint, or ``""`` for the card's default.
        port: name of the port, or ``""`` for the card's first that fits the direction.
    """

    expert: str
    address: str = ""
    port: str = ""

    @classmethod
    def parse(cls, text: str) -> EndpointSpec:
        r"""Read ``NAME[=ADDRESS][:PORT]``.

        >>> EndpointSpec.parse("bert=google-bert/bert-base-uncased:cls")
        EndpointSpec(expert='bert', address='google-bert/bert-base-uncased', port='cls')

        An expert without a default checkpoint may be followed by one behind a colon: ``timm:resnet50.a1_in1k`` and
        ``timm:resnet50.a1_in1k:stage.2``.

        A colon inside an address (``C:\models``, ``lab:8000/model``) does not begin a port, since no port's name has
        a slash.

        Raises:
            InputError: the name is missing, or nothing follows ``=`` or ``:``.
        """
        left, colon, port = text.rpartition(":")
        if not colon or ("=" in left and {"/", "\\"} & set(port)):
            left, colon, port = text, "", ""
        name, equals, address = left.partition("=")
        if not equals:
            name, equals, address = left.partition(":")
        if not name or (equals and not address) or (colon and not port):
            raise InputError(f"{text!r} names no expert; write NAME, NAME:PORT or NAME=ADDRESS:PORT.")
        return cls(name, address, port)._settled()

    def _settled(self) -> EndpointSpec:
        """The same, with the address where what stands in the place of the port is one."""
        if not self.port or self.address:
            return self
        try:
            card = self.card
        except DragomanError:  # said when the expert is loaded
            return self
        known = bool(card.repo) or self.port in {port.name for port in card.ports}
        return self if known else EndpointSpec(self.expert, self.port)

    def __str__(self) -> str:
        return self.expert + (f"={self.address}" if self.address else "") + (f":{self.port}" if self.port else "")

    @property
    def card(self) -> ExpertCard:
        """The expert's card."""
        return zoo().experts.find(self.expert).card

    def port_on_card(self, *, giving: bool) -> Port | None:
        """The port as far as the card knows it, or ``None``: checkpoints may have more ports than their card."""
        ports = [port for port in self.card.ports if (port.name == self.port if self.port else _able(port, giving))]
        return ports[0] if ports else None


@dataclass(frozen=True)
class Endpoint:
    """A loaded expert and one of its ports.

    Attributes:
        name: name of the expert's card.
        expert: the network.
        port: the port, with this checkpoint's sizes.
    """

    name: str
    expert: Expert
    port: Port

    @classmethod
    def load(cls, spec: EndpointSpec, *, giving: bool, device: str | torch.device | None = None) -> Endpoint:
        """Load the expert and choose the port.

        Args:
            spec: what to load.
            giving: whether the port is to give (the source of a fusion) or to take (its target).
            device: where the expert lives.

        Raises:
            PortError: there is no such port, or it does not work in that direction.
        """
        expert = load_expert(spec.expert, spec.address, device=device)
        return cls(spec.expert, expert, _port_of(expert, spec, giving))

    def encode(self, inputs: Any) -> Representation:
        """What the expert gives at the port.

        Raises:
            PortError: it is not what the port says.
        """
        given = self.expert.encode(inputs, self.port.name)
        self.check(given)
        return given

    def check(self, batch: Representation) -> None:
        """Raise unless what the expert gave is what the port says.

        Raises:
            PortError: it is not.
        """
        from dragoman.representation import mismatch

        if wrong := mismatch(batch, self.port):
            raise PortError(
                f"The expert {self.name!r} breaks its promise: what it gives at {self.port.name} {wrong}; "
                "tell whoever wrote its plugin."
            )


def load_expert(name: str, address: str = "", *, device: str | torch.device | None = None) -> Expert:
    """Load an expert by the name on its card, from its default checkpoint or from ``address``.

    Raises:
        UnknownNameError: no installed plugin offers it.
        InputError: the card has no default checkpoint and no address was given.
    """
    card = zoo().experts.find(name).card
    source = address or card.repo
    if not source:
        raise InputError(f"Expert {name!r} has no default checkpoint; write {name}=ADDRESS.")
    expert: Expert = card.load().from_pretrained(source, device=device)
    return expert


def _port_of(expert: Expert, spec: EndpointSpec, giving: bool) -> Port:
    verb = "give" if giving else "take"
    able = [port for port in expert.ports.values() if _able(port, giving)]
    if not spec.port:
        if not able:
            raise PortError(f"Expert {spec.expert!r} has no port that can {verb} a representation.")
        return able[0]
    port = expert.port(spec.port)
    if port not in able:
        names = ", ".join(p.name for p in able) or "none"
        raise PortError(f"Port {port.name!r} of {spec.expert!r} does not {verb}; ports that do: {names}.")
    return port


def _able(port: Port, giving: bool) -> bool:
    return port.gives if giving else port.takes
