"""Evaluation prompts: captions of real test images in words that no training caption uses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman.training.seeding import generator_for
from dragoman_minizoo.vocabulary import HELD_OUT, TRAINING, Vocabulary, describe, mix

__all__ = ["TIERS", "Prompts", "check_unseen", "make_prompts"]

#: What is new to the fusion in each tier.
TIERS: dict[str, Vocabulary] = {
    "templates": mix(nouns=TRAINING, adjectives=TRAINING, templates=HELD_OUT),
    "synonyms": mix(nouns=HELD_OUT, adjectives=TRAINING, templates=TRAINING),
    "unseen": HELD_OUT,
}


class Prompts(NamedTuple):
    """Distinct captions and what they say.

    Attributes:
        captions: the texts.
        label: class, int64 ``[P]``.
        levels: level of each attribute of the image described, int64 ``[P, 3]``.
        mentioned: which of them the caption mentions, bool ``[P, 3]``.
    """

    captions: list[str]
    label: Tensor
    levels: Tensor
    mentioned: Tensor


def make_prompts(tier: str, label: Tensor, levels: Tensor, count: int, seed: int = 0) -> Prompts:
    """Caption real images in the words of a tier, each at most once.

    Args:
        tier: a key of :data:`TIERS`.
        label: true classes of the images ``[N]``.
        levels: their attribute levels ``[N, 3]``.
        count: how many distinct captions.
        seed: of image, wording and mentions.

    Raises:
        InputError: so many distinct captions did not come up.
    """
    generator = generator_for(seed, "prompts", tier)
    found: dict[str, tuple[int, list[bool]]] = {}
    for _ in range(20 * count):
        row = int(torch.randint(len(label), (), generator=generator))
        caption, mentioned = describe(int(label[row]), levels[row].tolist(), TIERS[tier], generator)
        # A caption that mentions nothing says nothing of the attributes.
        if any(mentioned):
            found.setdefault(caption, (row, mentioned))
        if len(found) == count:
            break
    else:
        raise InputError(f"Only {len(found)} distinct captions of tier {tier!r} came up, not {count}.")
    rows = torch.tensor([row for row, _ in found.values()])
    return Prompts(list(found), label[rows], levels[rows], torch.tensor([said for _, said in found.values()]))


def check_unseen(prompts: Prompts, training: list[str]) -> int:
    """How many prompts occur verbatim among training captions; it has to be 0."""
    known = set(training)
    return sum(caption in known for caption in prompts.captions)
