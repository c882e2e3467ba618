"""Words and sentences. Some are kept out of training, to ask how a fusion takes what it never read."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dragoman_minizoo.attributes import ATTRIBUTES, LEVELS
from dragoman_minizoo.data import LABELS

__all__ = ["HELD_OUT", "TRAINING", "Vocabulary", "describe", "mix"]


class Vocabulary(NamedTuple):
    """What captions are made of.

    Attributes:
        nouns: synonyms of each class, by label.
        adjectives: words for each level of each attribute, ``[attribute][level]``.
        templates: sentences with the gap ``{}`` for the noun phrase.
    """

    nouns: tuple[tuple[str, ...], ...]
    adjectives: tuple[tuple[tuple[str, ...], ...], ...]
    templates: tuple[str, ...]


def _read(name: str) -> Vocabulary:
    words = tomllib.loads((Path(__file__).with_name("words") / f"{name}.toml").read_text(encoding="utf-8"))
    return Vocabulary(
        nouns=tuple(tuple(words["nouns"][label]) for label in LABELS),
        adjectives=tuple(
            tuple(tuple(words["adjectives"][attribute][level]) for level in LEVELS) for attribute in ATTRIBUTES
        ),
        templates=tuple(words["templates"]),
    )


#: What the captioner uses.
TRAINING = _read("training")
#: What appears in evaluation alone.
HELD_OUT = _read("held-out")

#: How often a caption mentions an attribute, by its level: extremes catch the eye.
MENTION = (0.65, 0.2, 0.65)


def mix(*, nouns: Vocabulary, adjectives: Vocabulary, templates: Vocabulary) -> Vocabulary:
    """A vocabulary that takes each kind of word from another one."""
    return Vocabulary(nouns.nouns, adjectives.adjectives, templates.templates)


def describe(
    label: int, levels: list[int], words: Vocabulary, generator: torch.Generator, clear: Sequence[bool] = (True,) * 3
) -> tuple[str, list[bool]]:
    """A sentence about one image.

    Args:
        label: its class.
        levels: level of each attribute.
        words: what to choose from.
        generator: source of randomness.
        clear: which attributes may be mentioned at all.

    Returns:
        The caption, and which attributes it mentions.
    """
    mentioned = [
        bool(torch.rand((), generator=generator) < MENTION[level]) and seen
        for level, seen in zip(levels, clear, strict=True)
    ]
    adjectives = [
        _choose(words.adjectives[attribute][level], generator)
        for attribute, level in enumerate(levels)
        if mentioned[attribute]
    ]
    order = torch.randperm(len(adjectives), generator=generator).tolist()
    phrase = _phrase([adjectives[position] for position in order], _choose(words.nouns[label], generator))
    return _choose(words.templates, generator).format(phrase), mentioned


def _phrase(adjectives: list[str], noun: str) -> str:
    words = ", ".join(adjectives) + (" " if adjectives else "") + noun
    article = "an" if words[0].lower() in "aeiou" and not words.startswith("uni") else "a"
    return f"{article} {words}"


def _choose(options: tuple[str, ...], generator: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=generator))]
