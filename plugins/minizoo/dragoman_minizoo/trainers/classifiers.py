"""The classifiers, and what is made of one: captioner and reader."""

from __future__ import annotations

from pathlib import Path

import torch

from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.training.seeding import generator_for
from dragoman_minizoo.attributes import measure, terciles
from dragoman_minizoo.captioner import MODEL_TYPE as CAPTIONER
from dragoman_minizoo.captioner import Captioner
from dragoman_minizoo.classification import Classification
from dragoman_minizoo.classifier import MODEL_TYPE as CLASSIFIER
from dragoman_minizoo.classifier import Classifier
from dragoman_minizoo.data import LABELS, fashion_mnist
from dragoman_minizoo.images import LabelledImages
from dragoman_minizoo.reader import Reader
from dragoman_minizoo.reading import Captions, Reading
from dragoman_minizoo.trainers.running import Recipe, run, say_accuracy

__all__ = ["captioner", "classifier", "reader"]


def classifier(recipe: Recipe, out: Path, resume: bool) -> None:
    """A classifier of garments."""
    expert = Classifier({"model_type": CLASSIFIER, **recipe["config"], "labels": list(LABELS)})
    method = Classification(expert.network, **recipe["method"])
    run(recipe, method, LabelledImages(fashion_mnist("train"), shift=2), out, resume)
    expert.freeze().save_pretrained(out / "model")
    say_accuracy(expert.labels)


def captioner(recipe: Recipe, out: Path, resume: bool) -> None:
    """The captioner: a classifier, and the levels of the attributes in real images."""
    expert = Captioner({"model_type": CAPTIONER, **recipe["config"], "labels": list(LABELS)})
    method = Classification(expert.network, **recipe["method"])
    train = fashion_mnist("train")
    run(recipe, method, LabelledImages(train, shift=2), out, resume)
    values = torch.cat([measure(part.float() / 255) for part in train.images.split(5000)])
    expert.boundaries.copy_(terciles(values, train.labels, len(LABELS)))
    expert.freeze().save_pretrained(out / "model")
    say_accuracy(lambda images: expert.see(images)[0])


def reader(recipe: Recipe, out: Path, resume: bool) -> None:
    """The reader: the captioner's eye, and an understanding of captions learnt from real images."""
    eye, source = load_expert("captioner-fashion"), Endpoint.load(EndpointSpec.parse(recipe["source"]), giving=True)
    assert isinstance(eye, Captioner)
    seed = recipe["training"]["seed"]
    torch.manual_seed(seed)
    critic = Reader.for_captioner(eye, source.port)
    images = fashion_mnist("train").images[:20000].float() / 255
    data = Captions(source, eye, images, recipe["data"]["captions"], seed)
    critic.text.initialize(data.batch(4096, generator_for(seed, "initialize"))["condition"])
    run(recipe, Reading(critic, **recipe["method"]), data, out, resume)
    critic.freeze().save_pretrained(out / "model")
