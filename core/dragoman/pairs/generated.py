"""Pairs without a dataset: sample the target expert, put what it shows into words, encode the words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint
from dragoman.errors import InputError, PortError
from dragoman.expert import Expert
from dragoman.training.method import Batch

__all__ = ["GeneratedPairs", "Pairs"]

CAPTION_PORT = "caption"
#: Images that are rendered and captioned at once.
RENDERED = 256


class Pairs(NamedTuple):
    """Targets and the texts that describe them.

    Attributes:
        target: ``[N, ...]``, samples at the target port.
        captions: one text for each.
    """

    target: Tensor
    captions: list[str]


@dataclass(frozen=True)
class GeneratedPairs:
    """An endless supply of pairs from three frozen experts.

    Args:
        source: the endpoint that will encode the captions.
        target: the generator's endpoint.
        captioner: an expert whose port ``caption`` turns images into texts.

    Raises:
        PortError: the captioner has no such port.
        InputError: the source does not read text.
    """

    source: Endpoint
    target: Endpoint
    captioner: Expert

    def __post_init__(self) -> None:
        if CAPTION_PORT not in self.captioner.ports:
            raise PortError(f"{type(self.captioner).__name__} has no port 'caption', so it cannot caption images.")
        try:
            self.source.expert.encode(["a text"], self.source.port.name)
        except Exception as error:  # an expert of images fails on texts with anything
            raise InputError(
                f"{self.source.name!r} does not encode texts ({error}), but generated pairs are captions; "
                "choose an expert that reads text."
            ) from error

    @torch.no_grad()
    def make(self, count: int, generator: torch.Generator, progress: Callable[[int], None] | None = None) -> Pairs:
        """Targets with their captions, without encoding.

        Args:
            count: how many.
            generator: draws the targets first, then the captions.
            progress: called with the number of captions so far.
        """
        port = self.target.port.name
        target = self.target.expert.draw(port, count, generator=generator)
        captions: list[str] = []
        for part in target.split(RENDERED):
            images = self.target.expert.decode(part, port)
            said = self.captioner.encode(images, CAPTION_PORT, generator=generator)
            assert isinstance(said, list)
            captions += said
            if progress:
                progress(len(captions))
        return Pairs(target, captions)

    @torch.no_grad()
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Pairs made on the spot: the experts run in every step."""
        pairs = self.make(size, generator)
        return {
            "target": pairs.target,
            "condition": self.source.expert.encode(pairs.captions, self.source.port.name),
            "caption": pairs.captions,
        }
