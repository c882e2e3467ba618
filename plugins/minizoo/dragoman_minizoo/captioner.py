"""The captioner: looks at a garment and says what it is, how bright, how wide and how patterned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from dragoman.errors import PortError
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_minizoo.attributes import ATTRIBUTES, clear, levels, measure
from dragoman_minizoo.checkpoint import load_into, read_config, write
from dragoman_minizoo.networks import build_network
from dragoman_minizoo.vocabulary import TRAINING, Vocabulary, describe

__all__ = ["MODEL_TYPE", "Captioner", "Look"]

MODEL_TYPE = "dragoman-captioner"


class Look(NamedTuple):
    """What is seen in images.

    Attributes:
        labels: classes, int64 ``[B]``.
        levels: of the attributes, int64 ``[B, 3]``.
        sure: whether the class is beyond doubt, bool ``[B]``.
        clear: whether each level is, bool ``[B, 3]``.
    """

    labels: Tensor
    levels: Tensor
    sure: Tensor
    clear: Tensor


class Captioner(Expert):
    """Images to sentences: a classifier names the garment, measurements choose the adjectives.

    Args:
        config: ``architecture``, ``widths`` and ``labels`` of the classifier; ``confidence``, the probability of
            its class below which an image gets no caption; ``margin``, how far inside its level an attribute has
            to lie to be mentioned (:func:`~dragoman_minizoo.attributes.clear`); ``mention``, how often it then is, by
            its level: as often at each, so that what a caption leaves out may be anything; and ``wordings``, how many
            sentences there are for images of the same class and levels. A sentence that comes again is not encoded
            again, so that there can be many more images than sentences.

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
        """``caption``, and the classifier's pooled ``features``."""
        ports = (
            Port("caption", "text", gives=True, summary="a sentence about each image"),
            Port("features", "vector", (config["widths"][-1],), gives=True, summary="pooled features"),
        )
        return {port.name: port for port in ports}

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
        return self.look(images)[:2]

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """Everything that is seen in images ``[B, 1, 32, 32]`` in [0, 1]."""
        chunks = [(self.network(part).softmax(dim=1), measure(part)) for part in images.to(self.boundaries).split(1024)]
        probability, labels = torch.cat([share for share, _ in chunks]).max(dim=1)
        values = torch.cat([value for _, value in chunks])
        return Look(
            labels,
            levels(values, labels, self.boundaries),
            probability >= self.config["confidence"],
            clear(values, labels, self.boundaries, self.config["margin"]),
        )

    def encode(
        self,
        inputs: Tensor,
        port: str,
        *,
        generator: torch.Generator | None = None,
        words: Vocabulary = TRAINING,
    ) -> Representation:
        """Images to captions, ``""`` where the class is in doubt; the generator draws wording and what is mentioned.

        At ``features``, to the classifier's pooled features, float ``[B, D]``.

        Raises:
            PortError: there is no such port, or no generator was given for captions.
        """
        if self.port(port).name == "features":
            return self.network.features(inputs.to(self.boundaries)).float()
        if generator is None:
            raise PortError("Captions are drawn: give the captioner a generator.")
        looks = zip(*(column.tolist() for column in self.look(inputs)), strict=True)
        wordings, mention = self.config["wordings"], self.config["mention"]
        return [
            describe(label, row, words, generator, seen, wordings, mention)[0] if sure else ""
            for label, row, sure, seen in looks
        ]
