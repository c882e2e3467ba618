"""Words and sentences. Some are kept out of training, to ask how a fusion takes what it never read."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from dragoman.training.seeding import generator_for
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

#: How often a prompt mentions an attribute, by its level: extremes catch the eye.
MENTION = (0.65, 0.2, 0.65)


def mix(*, nouns: Vocabulary, adjectives: Vocabulary, templates: Vocabulary) -> Vocabulary:
    """A vocabulary that takes each kind of word from another one."""
    return Vocabulary(nouns.nouns, adjectives.adjectives, templates.templates)


def describe(
    label: int,
    levels: Sequence[int],
    words: Vocabulary,
    generator: torch.Generator,
    clear: Sequence[bool] = (True,) * 3,
    wordings: int | None = None,
    mention: Sequence[float] = MENTION,
) -> tuple[str, list[bool]]:
    """A sentence about one image.

    Args:
        label: its class.
        levels: level of each attribute.
        words: what to choose from.
        generator: source of randomness.
        clear: which attributes may be mentioned at all.
        wordings: how many sentences there are for the same class and the same mentioned levels; without it, as many as
            the words allow.
        mention: how often an attribute is mentioned, by its level.

    Returns:
        The caption, and which attributes it mentions.
    """
    mentioned = [
        bool(torch.rand((), generator=generator) < mention[level]) and seen
        for level, seen in zip(levels, clear, strict=True)
    ]
    said = tuple(level if here else None for level, here in zip(levels, mentioned, strict=True))
    if wordings is None:
        return _sentence(label, said, words, generator), mentioned
    return _known_sentence(label, said, words, int(torch.randint(wordings, (), generator=generator))), mentioned


@lru_cache(maxsize=100_000)
def _known_sentence(label: int, said: tuple[int | None, ...], words: Vocabulary, number: int) -> str:
    return _sentence(label, said, words, generator_for(number, label, repr(said)))


def _sentence(label: int, said: Sequence[int | None], words: Vocabulary, generator: torch.Generator) -> str:
    adjectives = [
        _choose(words.adjectives[attribute][level], generator)
        for attribute, level in enumerate(said)
        if level is not None
    ]
    order = torch.randperm(len(adjectives), generator=generator).tolist()
    phrase = _phrase([adjectives[position] for position in order], _choose(words.nouns[label], generator))
    return _choose(words.templates, generator).format(phrase)


def _phrase(adjectives: list[str], noun: str) -> str:
    words = ", ".join(adjectives) + (" " if adjectives else "") + noun
    article = "an" if words[0].lower() in "aeiou" and not words.startswith("uni") else "a"
    return f"{article} {words}"


def _choose(options: tuple[str, ...], generator: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=generator))]
