"""Measure the mini zoo's experts again: ``python -m dragoman_minizoo.measure NAME``; the figures of docs/minizoo.md.

All figures are of the 10,000 test images, which nothing was trained or chosen on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import torch
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.endpoint import load_expert
from dragoman.expert import Expert
from dragoman.metrics import diversity, frechet_distance
from dragoman.training.seeding import generator_for
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.captioned import captions_of
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.data import LABELS, Labelled, fashion_mnist
from dragoman_minizoo.prompts import TIERS, make_prompts
from dragoman_minizoo.trainers.running import accuracy, labels_of
from dragoman_minizoo.vocabulary import HELD_OUT, TRAINING, Vocabulary

__all__ = ["classifier", "encoders", "generator", "main"]

#: Candidates of one retrieval.
CANDIDATES = 100
#: Samples of a generator.
SAMPLES = 10_000


@click.command(cls=Sentences)
@click.argument("name")
@click.option("--model", default="", help="Another checkpoint than the one that comes with the mini zoo.")
def main(name: str, model: str) -> None:
    """Print the figures of one expert as JSON."""
    expert = load_expert(name, model)
    kind = next((kind for port, kind in _KINDS.items() if port in expert.ports), None)
    if kind is None:
        raise click.UsageError(f"{name} is no classifier, no pair of encoders and no generator.")
    click.echo(json.dumps(kind(expert), indent=2))


def classifier(expert: Expert) -> dict[str, Any]:
    """Accuracy of an expert with the port ``logits``."""
    return {"accuracy": accuracy(labels_of(expert), fashion_mnist("test"))}


def encoders(expert: Expert) -> dict[str, Any]:
    """What a pair with the ports ``text`` and ``image`` makes of test images and of words that it never read.

    ``zero_shot``: class accuracy with one direction for each class: by its name; by training and by held-out nouns, in
    training templates. ``retrieval``: by tier of wordings, among 100 images (captions) in turn: whether an image's
    nearest caption is its own (chance 0.01), and for a prompt whether the nearest image is of the class that it names
    and has the levels that it mentions.
    """
    data = fashion_mnist("test")
    of_images = torch.cat([_tensor(expert, part.float() / 255, "image") for part in data.images.split(500)])
    ways = {
        "name": [[f"a photo of a {label}"] for label in LABELS],
        "training nouns": _sentences(TRAINING, TRAINING.templates),
        "held-out nouns": _sentences(HELD_OUT, TRAINING.templates),
        "held-out nouns and templates": _sentences(HELD_OUT, HELD_OUT.templates),
    }
    zero_shot = {way: _zero_shot(expert, texts, of_images, data.labels) for way, texts in ways.items()}
    each = {"one held-out noun": _one_noun(expert, of_images, data.labels)}
    tiers = {"training": TRAINING, **TIERS}
    return {
        "zero_shot": zero_shot | each,
        "retrieval": {tier: _retrieval(expert, words, tier, data, of_images) for tier, words in tiers.items()},
    }


def generator(expert: Expert) -> dict[str, Any]:
    """Distance to the test images in the judge's features, whether the class is right, and variety within classes."""
    judge, data = load_expert("judge-fashion"), fashion_mnist("test")
    label = torch.arange(len(LABELS)).repeat_interleave(SAMPLES // len(LABELS))
    source = generator_for(0, "measure")
    made = torch.cat([expert.decode(part, "label", generator=source) for part in label.split(500)])
    real = data.images.float() / 255
    noisy = (real + 0.1 * torch.randn(real.shape, generator=source)).clamp(0, 1)
    of_made, of_real, of_noisy = (_features(judge, images) for images in (made, real, noisy))
    guessed = torch.cat([_tensor(judge, part, "logits") for part in made.split(500)]).argmax(dim=1)
    spread = [_spread(of_made[label == k]) / _spread(of_real[data.labels == k]) for k in range(len(LABELS))]
    return {
        "frechet_distance": frechet_distance(of_real, of_made),
        "frechet_distance_of_noisy_images": frechet_distance(of_real, of_noisy),
        "judge_accuracy": float((guessed == label).float().mean()),
        "judge_accuracy_by_class": {
            name: float((guessed == label)[label == k].float().mean()) for k, name in enumerate(LABELS)
        },
        "diversity_ratio": sum(spread) / len(spread),
        "diversity_ratio_by_class": dict(zip(LABELS, spread, strict=True)),
    }


def _sentences(nouns: Vocabulary, templates: tuple[str, ...]) -> list[list[str]]:
    return [[template.format(f"a {noun}") for noun in of_class for template in templates] for of_class in nouns.nouns]


def _zero_shot(expert: Expert, texts: list[list[str]], of_images: Tensor, labels: Tensor) -> float:
    directions = torch.stack([_tensor(expert, of_class, "text").mean(dim=0) for of_class in texts])
    guessed = (of_images @ torch.nn.functional.normalize(directions, dim=1).mT).argmax(dim=1)
    return float((guessed == labels).float().mean())


def _one_noun(expert: Expert, of_images: Tensor, labels: Tensor) -> float:
    """Mean accuracy where each class is named by one held-out noun, for each choice of them in turn."""
    choices = zip(*HELD_OUT.nouns, strict=True)
    each = [[[f"a photo of a {noun}"] for noun in choice] for choice in choices]
    return sum(_zero_shot(expert, texts, of_images, labels) for texts in each) / len(each)


def _retrieval(expert: Expert, words: Vocabulary, tier: str, data: Labelled, of_images: Tensor) -> dict[str, float]:
    eye = load_expert("captioner-fashion")
    assert isinstance(eye, Captioner)
    images = data.images.float() / 255
    seen = levels(measure(images), data.labels, eye.boundaries)
    captions = captions_of(images, data.labels, eye.boundaries, words, generator_for(0, "measure", tier))
    of_captions = _tensor(expert, captions, "text")
    groups = zip(of_images.split(CANDIDATES), of_captions.split(CANDIDATES), strict=True)
    own = torch.cat([(i @ c.mT).argmax(dim=1) == torch.arange(len(i)) for i, c in groups])
    found = {"own caption": float(own.float().mean())}
    if tier in TIERS:
        found |= _by_prompt(expert, tier, data.labels, seen, of_images)
    return found


def _by_prompt(expert: Expert, tier: str, labels: Tensor, seen: Tensor, of_images: Tensor) -> dict[str, float]:
    prompts = make_prompts(tier, labels, seen, 500)
    rows = torch.randint(len(labels), (500, CANDIDATES), generator=generator_for(0, "measure", "candidates"))
    cosine = torch.einsum("pd,pcd->pc", _tensor(expert, prompts.captions, "text"), of_images[rows])
    chosen = rows.gather(1, cosine.argmax(dim=1, keepdim=True)).squeeze(1)
    right = (seen[chosen] == prompts.levels)[prompts.mentioned]
    return {
        "class of the nearest image": float((labels[chosen] == prompts.label).float().mean()),
        "levels of the nearest image": float(right.float().mean()),
    }


def _spread(features: Tensor) -> float:
    return float(diversity(features[None]))


def _features(judge: Expert, images: Tensor) -> Tensor:
    return torch.cat([_tensor(judge, part, "features") for part in images.split(500)])


@torch.no_grad()
def _tensor(expert: Expert, inputs: Any, port: str) -> Tensor:
    value = expert.encode(inputs, port)
    assert isinstance(value, Tensor)
    return value


_KINDS: dict[str, Callable[[Expert], dict[str, Any]]] = {
    "text": encoders,
    "logits": classifier,
    "label": generator,
}

if __name__ == "__main__":
    main()
