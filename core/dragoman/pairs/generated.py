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

__all__ = ["GeneratedPairs", "Pairs", "some_declined"]

CAPTION_PORT = "caption"
#: Images that are rendered and captioned at once.
RENDERED = 256
#: Share of images with a caption below which the captioner is taken to be the wrong one, and from how many images on.
LEAST_CAPTIONED, PATIENCE = 0.01, 1000


class Pairs(NamedTuple):
    """Targets and the texts that describe them.

    Attributes:
        target: ``[N, ...]``, samples at the target port.
        captions: one text for each.
        declined: ``[M, ...]``, the draws that got none.
    """

    target: Tensor
    captions: list[str]
    declined: Tensor


@dataclass(frozen=True)
class GeneratedPairs:
    """An endless supply of pairs from three frozen experts.

    Args:
        source: the endpoint that will encode the captions.
        target: the generator's endpoint.
        captioner: an expert whose port ``caption`` turns images into texts, or into ``""`` where it is not sure.
        spread: how much more widely than in training the generator's latents are drawn. Above 1 there is more to
            choose from: with a captioner that declines doubtful images, the pairs are both clear and varied.

    Raises:
        PortError: the captioner has no such port, or the source does not give what its port says.
        InputError: the source does not read text.
    """

    source: Endpoint
    target: Endpoint
    captioner: Expert
    spread: float = 1.0

    def __post_init__(self) -> None:
        if CAPTION_PORT not in self.captioner.ports:
            raise PortError(f"{type(self.captioner).__name__} has no port 'caption', so it cannot caption images.")
        try:
            self.source.encode(["a text"])
        except PortError:
            raise
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
            generator: draws the targets first, then the captions; then the same for those that got none.
            progress: called with the number of captions so far.

        Raises:
            InputError: the captioner declines nearly everything.
        """
        targets: list[Tensor] = []
        declined: list[Tensor] = []
        captions: list[str] = []
        drawn = 0
        while missing := count - len(captions):
            target = self._draw(missing, generator)
            said = self._caption(target, len(captions), generator, progress)
            captioned = torch.tensor([bool(caption) for caption in said], device=target.device)
            targets.append(target[captioned])
            declined.append(target[~captioned])
            captions += filter(None, said)
            drawn += missing
            if drawn > PATIENCE and len(captions) < drawn * LEAST_CAPTIONED:
                raise InputError(
                    f"The captioner found words for {len(captions)} of {drawn} images; choose another one, "
                    "or draw less widely (pairs.spread)."
                )
        return Pairs(torch.cat(targets), captions, torch.cat(declined))

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        # Not every generator has the knob.
        knobs = {} if self.spread == 1 else {"spread": self.spread}
        drawn = self.target.expert.draw(self.target.port.name, count, generator=generator, **knobs)
        self.target.check(drawn)
        return drawn

    def _caption(
        self, target: Tensor, before: int, generator: torch.Generator, progress: Callable[[int], None] | None
    ) -> list[str]:
        captions: list[str] = []
        for part in target.split(RENDERED):
            images = self.target.expert.decode(part, self.target.port.name)
            said = self.captioner.encode(images, CAPTION_PORT, generator=generator)
            assert isinstance(said, list)
            captions += said
            if progress:
                progress(before + sum(map(bool, captions)))
        return captions

    @torch.no_grad()
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Pairs made on the spot: the experts run in every step."""
        pairs = self.make(size, generator)
        batch: Batch = {
            "target": pairs.target,
            "condition": self.source.expert.encode(pairs.captions, self.source.port.name),
            "caption": pairs.captions,
        }
        return batch | some_declined(pairs.declined, size, generator)


def some_declined(declined: Tensor, size: int, generator: torch.Generator) -> Batch:
    """The part ``"declined"`` of a batch: rows drawn with replacement; empty where nothing was declined."""
    if len(declined) == 0:
        return {}
    return {"declined": declined[torch.randint(len(declined), (size,), generator=generator)]}
