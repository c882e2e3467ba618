"""The reader: a critic that asks whether a garment is what a sentence said.

It reads the class and the mentioned attributes out of what a text encoder gives, sees them in the image with the
captioner's eye and measurements, and compares. The judge has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from dragoman.critic import Critic
from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_cinn.embedder import build_embedder, describe_condition
from dragoman_minizoo.attributes import ATTRIBUTES, LEVELS, level_log_probabilities, measure
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.checkpoint import load_into, read_config, write
from dragoman_minizoo.networks import build_network

__all__ = ["MODEL_TYPE", "Reader"]

MODEL_TYPE = "dragoman-reader"
#: What a sentence may say of an attribute: one of the levels, or nothing.
UNSAID = len(LEVELS)
#: A picture counts as one of a class where the eye is so sure of it, and how suddenly, in logits. The captioner asks
#: for 0.75 before it speaks; see docs/minizoo.md for what others give.
SURE, SUDDENNESS = 0.7, 32.0


class Reader(Critic, Expert):
    """Encoded text and image to agreement.

    Args:
        config: ``text`` (kind and size of the encoded text, as :func:`~dragoman_cinn.embedder.describe_condition` says
            it), ``hidden``, and the captioner's ``architecture``, ``widths`` and ``labels``.
    """

    #: The score is a log-probability.
    ceiling = 0.0
    boundaries: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        Expert.__init__(self, config)
        classes, hidden = len(config["labels"]), config["hidden"]
        self.network = build_network(config["architecture"], config["widths"], classes)
        self.register_buffer("boundaries", torch.zeros(classes, len(ATTRIBUTES), 2))
        self.text = build_embedder(config["text"], hidden, layers=2, out=classes + len(ATTRIBUTES) * (UNSAID + 1))

    @classmethod
    def for_captioner(cls, captioner: Captioner, text: Port, hidden: int = 256) -> Self:
        """A reader of texts at a port that sees as the captioner does; its reading is still to be trained."""
        seeing = {name: captioner.config[name] for name in ("architecture", "widths", "labels")}
        reader = cls({**seeing, "model_type": MODEL_TYPE, "text": describe_condition(text), "hidden": hidden})
        reader.network.load_state_dict(captioner.network.state_dict())
        reader.boundaries.copy_(captioner.boundaries)
        return reader

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """A critic has no ports of its own."""
        return {}

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read the checkpoint in a folder."""
        reader = cls(read_config(folder, MODEL_TYPE))
        load_into(reader, folder)
        return reader

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint, in half precision."""
        write(Path(folder), self.config, self.state_dict())

    def read(self, condition: Representation) -> tuple[Tensor, Tensor]:
        """What sentences say.

        Args:
            condition: encoded sentences.

        Returns:
            Log-probabilities of the classes ``[B, K]``, and of each attribute's levels or silence ``[B, 3, 4]``.

        Raises:
            InputError: they were encoded at another port than the one that the reader knows.
        """
        classes = len(self.config["labels"])
        logits: Tensor = self.text(condition)
        said = logits[:, classes:].unflatten(1, (len(ATTRIBUTES), UNSAID + 1))
        return logits[:, :classes].log_softmax(dim=1), said.log_softmax(dim=2)

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """``class`` and ``attributes``: negative log-likelihoods that the image is as the sentence says, ``[B]`` each.

        Whatever the sentence leaves unsaid costs nothing.
        """
        with torch.no_grad():
            read_class, said = self.read(condition)
        seen_class = self.network(outputs.to(self.boundaries)).log_softmax(dim=1)
        label = seen_class.argmax(dim=1)
        seen = level_log_probabilities(measure(outputs), label, self.boundaries)
        wanted = said[:, :, :UNSAID].exp()
        return {
            "class": -(read_class.exp() * seen_class).sum(dim=1),
            "attributes": -(wanted * seen).sum(dim=(1, 2)),
        }

    def score(self, outputs: Tensor, condition: Representation) -> Tensor:
        """Log-probability that the captioner would say so of an image, ``[B]``: that it were sure enough of the class,
        and that every attribute is either at the level that is said or was not mentioned.

        The losses are cross-entropies. As scores they would prefer the most typical garment to one that is merely
        beyond doubt, and punish an image for being surer of an attribute than the sentence is.
        """
        read_class, said = self.read(condition)
        sure = functional.logsigmoid(SUDDENNESS * (self._odds(outputs) - math.log(SURE / (1 - SURE))))
        seen = level_log_probabilities(measure(outputs), read_class.argmax(dim=1), self.boundaries)
        silent = torch.zeros_like(seen[:, :, :1])
        agree = (said + torch.cat([seen, silent], dim=2)).logsumexp(dim=2)
        score: Tensor = (read_class + sure).logsumexp(dim=1) + agree.sum(dim=1)
        return score

    def _odds(self, images: Tensor) -> Tensor:
        """Log-odds of each class against all others together, ``[B, K]``."""
        logits: Tensor = self.network(images.to(self.boundaries))
        own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
        others = logits.unsqueeze(1).masked_fill(own, -math.inf).logsumexp(dim=2)
        return logits - others

    def text_losses(self, condition: Representation, label: Tensor, said: Tensor) -> dict[str, Tensor]:
        """Per-sample losses of the reading itself: ``label`` int64 ``[B]``, ``said`` int64 ``[B, 3]`` in 0..3."""
        read_class, read_said = self.read(condition)
        attributes = functional.nll_loss(read_said.flatten(0, 1), said.flatten(), reduction="none")
        return {
            "class": functional.nll_loss(read_class, label, reduction="none"),
            "attributes": attributes.view(said.shape).sum(dim=1),
        }
