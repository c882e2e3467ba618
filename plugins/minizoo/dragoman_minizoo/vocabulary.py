"""Words and sentences. Some are kept out of training, to ask how a fusion takes what it never read."""

from __future__ import annotations

from typing import NamedTuple

import torch

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


#: What the captioner uses.
TRAINING = Vocabulary(
    nouns=(
        (
            *("t-shirt", "tee", "T shirt", "short-sleeved top", "crew-neck tee", "cotton t-shirt"),
            *("V-neck tee", "jersey top", "casual top"),
        ),
        (
            *("pair of trousers", "pair of pants", "pair of slacks", "pair of chinos", "trouser", "pair of suit pants"),
            *("pair of cargo pants", "pair of corduroys", "pair of joggers", "pair of tights"),
        ),
        (
            *("pullover", "sweater", "jumper", "knit sweater", "sweatshirt", "knitted pullover"),
            *("turtleneck", "fleece", "woollen jumper", "crew-neck sweater"),
        ),
        (
            *("dress", "gown", "frock", "summer dress", "evening dress", "sundress"),
            *("ball gown", "shift dress", "wrap dress", "long dress", "party dress"),
        ),
        (
            *("coat", "overcoat", "winter coat", "jacket", "parka", "trench coat"),
            *("windbreaker", "peacoat", "duffel coat", "down jacket"),
        ),
        (
            *("sandal", "flip-flop", "open-toed shoe", "strappy sandal", "summer sandal", "slide sandal"),
            *(
                "gladiator sandal",
                "espadrille",
                "wedge sandal",
                "pair of sandals",
                "pair of flip-flops",
                "pair of summer shoes",
            ),
        ),
        (
            *("shirt", "button-up shirt", "dress shirt", "long-sleeved shirt", "blouse", "collared shirt"),
            *("Oxford shirt", "linen shirt", "chambray shirt", "silk blouse"),
        ),
        (
            *("sneaker", "running shoe", "tennis shoe", "gym shoe", "sports shoe", "athletic shoe"),
            *(
                "plimsoll",
                "basketball shoe",
                "canvas shoe",
                "pair of sneakers",
                "pair of running shoes",
                "pair of plimsolls",
                "pair of gym shoes",
            ),
        ),
        (
            *("bag", "purse", "tote", "shoulder bag", "satchel", "tote bag"),
            *("clutch bag", "briefcase", "rucksack", "shopping bag", "pouch"),
        ),
        (
            *("ankle boot", "boot", "bootie", "leather boot", "short boot", "Chelsea boot"),
            *(
                "desert boot",
                "riding boot",
                "suede boot",
                "pair of boots",
                "pair of ankle boots",
                "pair of leather boots",
                "pair of booties",
            ),
        ),
    ),
    adjectives=(
        (
            (
                *("dark", "black", "dark-coloured", "charcoal", "very dark"),
                *("jet-black", "ebony", "sooty", "deep-toned", "midnight-black"),
            ),
            (
                *("grey", "mid-grey", "medium-toned", "medium grey"),
                *("silver-grey", "ash-grey", "pewter", "stone-grey", "greyish"),
            ),
            (
                *("bright", "white", "light", "pale", "light-coloured"),
                *("cream", "off-white", "bleached", "chalk-white", "pearl-white"),
            ),
        ),
        (
            (
                *("narrow", "slim", "thin", "slender"),
                *("tight", "fitted", "close-fitting", "tapered", "slimline"),
            ),
            (
                *("medium-width", "normal-width", "average-width", "neither narrow nor wide"),
                *("regular-fit", "ordinary-width", "mid-width", "regular-width"),
            ),
            (
                *("wide", "broad", "loose", "roomy"),
                *("bulky", "ample", "loose-fitting", "boxy", "voluminous"),
            ),
        ),
        (
            (
                *("plain", "smooth", "solid", "uniform", "untextured"),
                *("unpatterned", "blank", "simple", "monochrome", "bare"),
            ),
            (
                *("lightly textured", "subtly patterned", "slightly textured"),
                *("discreetly printed", "gently structured", "mildly patterned"),
            ),
            (
                *("patterned", "textured", "busy", "printed", "richly detailed"),
                *("striped", "decorated", "embellished", "heavily patterned", "elaborate"),
            ),
        ),
    ),
    templates=(
        "{}",
        "a photo of {}",
        "an image of {}",
        "a picture of {}",
        "a picture showing {}",
        "this is {}",
        "here is {}",
        "look at {}",
        "{} on a plain background",
        "a product shot of {}",
        "a catalogue photo of {}",
        "I want {}",
        "I would like to see {}",
        "{} for sale",
        "fashion item: {}",
        "she bought {}",
        "he put on {}",
        "show {}",
        "we sell {}",
        "{}, studio photograph",
        "make {}",
        "a drawing of {}",
        "they have {} at home",
        "give me {}",
        "do you have {}?",
        "a snapshot of {}",
        "{}, seen from the side",
        "new in our store: {}",
        "it is {}",
        "you can see {} here",
    ),
)

#: What appears in evaluation alone.
HELD_OUT = Vocabulary(
    nouns=(
        ("tee-shirt", "graphic tee"),
        ("pair of jeans", "pair of leggings"),
        ("hoodie", "piece of knitwear"),
        ("cocktail dress", "maxi dress"),
        ("raincoat", "anorak"),
        ("heeled sandal", "beach sandal"),
        ("button-down", "flannel shirt"),
        ("pair of trainers", "jogging shoe"),
        ("handbag", "messenger bag"),
        ("hiking boot", "work boot"),
    ),
    adjectives=(
        (("inky", "dusky"), ("neutral-toned", "slate"), ("snowy", "ivory")),
        (("skinny", "lean"), ("standard-width", "moderate-width"), ("baggy", "oversized")),
        (("featureless", "unadorned"), ("softly textured", "faintly patterned"), ("ornate", "intricate")),
    ),
    templates=(
        "please draw {}",
        "my friend is wearing {}",
        "could you show me {}?",
        "an advert for {}",
        "the shop window displays {}",
        "{}, front view",
        "there is {} in the wardrobe",
        "generate {}",
    ),
)

#: How often a caption mentions an attribute, by its level: extremes catch the eye.
MENTION = (0.65, 0.2, 0.65)


def mix(*, nouns: Vocabulary, adjectives: Vocabulary, templates: Vocabulary) -> Vocabulary:
    """A vocabulary that takes each kind of word from another one."""
    return Vocabulary(nouns.nouns, adjectives.adjectives, templates.templates)


def describe(label: int, levels: list[int], words: Vocabulary, generator: torch.Generator) -> tuple[str, list[bool]]:
    """A sentence about one image.

    Args:
        label: its class.
        levels: level of each attribute.
        words: what to choose from.
        generator: source of randomness.

    Returns:
        The caption, and which attributes it mentions.
    """
    mentioned = [bool(torch.rand((), generator=generator) < MENTION[level]) for level in levels]
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
