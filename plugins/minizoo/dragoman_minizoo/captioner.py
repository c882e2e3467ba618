"""The captioner: looks at a garment and says what it is, how bright, how wide and how patterned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dragoman.errors import PortError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman_minizoo.attributes import ATTRIBUTES, levels, measure
from dragoman_minizoo.checkpoint import load_into, read_config, write
from dragoman_minizoo.networks import build_network
from dragoman_minizoo.vocabulary import TRAINING, Vocabulary, describe

__all__ = ["MODEL_TYPE", "Captioner"]

MODEL_TYPE = "dragoman-captioner"


class Captioner(Expert):
    """Images to sentences: a classifier names the garment, measurements choose the adjectives.

    Args:
        config: ``architecture``, ``widths`` and ``labels`` of the classifier, and ``confidence``: the probability of
            its class below which an image gets no caption.

    Attributes:
        boundaries: ``[K, 3, 2]``, where the levels of each attribute begin, by class.
    """

    reads: ClassVar[str] = "image"
    boundaries: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        classes = len(config["labels"])
        self.network = build_network(config["architecture"], config["widths"], classes)
        self.register_buffer("boundaries", torch.zeros(classes, len(ATTRIBUTES), 2))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The port ``caption``."""
        return {"caption": Port("caption", "text", gives=True, summary="a sentence about each image")}

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the checkpoint in a folder."""
        expert = cls(read_config(folder, MODEL_TYPE))
        load_into(expert, folder)
        return expert

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint, in half precision."""
        write(Path(folder), self.config, self.state_dict())

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classes int64 ``[B]`` and attribute levels int64 ``[B, 3]`` of images ``[B, 1, 32, 32]`` in [0, 1]."""
        return self._look(images)[:2]

    def sure(self, images: Tensor) -> Tensor:
        """Whether the class of each image is beyond doubt, bool ``[B]``."""
        return self._look(images)[2]

    @torch.no_grad()
    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes, attribute levels, and whether the class is beyond doubt."""
        chunks = [(self.network(part).softmax(dim=1), measure(part)) for part in images.to(self.boundaries).split(1024)]
        probability, labels = torch.cat([share for share, _ in chunks]).max(dim=1)
        seen = levels(torch.cat([value for _, value in chunks]), labels, self.boundaries)
        return labels, seen, probability >= self.config["confidence"]

    def encode(
        self,
        inputs: Tensor,
        port: str,
        *,
        generator: torch.Generator | None = None,
        words: Vocabulary = TRAINING,
    ) -> list[str]:
        """Images to captions, ``""`` where the class is in doubt; the generator draws wording and what is mentioned.

        Raises:
            PortError: the port is not ``caption``, or no generator was given.
        """
        self.port(port)
        if generator is None:
            raise PortError("Captions are drawn: give the captioner a generator.")
        looks = zip(*(column.tolist() for column in self._look(inputs)), strict=True)
        return [describe(label, row, words, generator)[0] if sure else "" for label, row, sure in looks]
