"""Train the mini zoo again: ``python -m dragoman_minizoo.train RECIPE --out DIR``.

Recipes are the TOML files in ``recipes/``. Fusions are made by ``dragoman fuse`` from recipes of the same folder.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from dragoman.endpoint import load_expert
from dragoman.expert import Expert
from dragoman.metrics import frechet_distance
from dragoman.training.method import BatchSource, Method
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import Settings, Trainer
from dragoman_biggan.adversarial import ConditionalGAN
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.plain import Discriminator, Generator, PlainConfig
from dragoman_biggan.standing import recompute_statistics
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

RECIPES = Path(__file__).with_name("recipes")
Recipe = Mapping[str, Any]


@click.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
@click.option("--steps", type=int, help="Train for so many steps instead of the recipe's.")
def main(name: str, out: Path, resume: bool, steps: int | None) -> None:
    """Train one of the mini zoo's experts from its recipe; OUT/model is the checkpoint."""
    recipe = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    recipe["training"]["steps"] = steps or recipe["training"]["steps"]
    # First weights come from torch's global generator.
    torch.manual_seed(recipe["training"]["seed"])
    KINDS[recipe["kind"]](recipe, out, resume)
    (out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    click.echo(out / "model")


def _run(
    recipe: Recipe,
    method: Method,
    data: BatchSource,
    out: Path,
    resume: bool,
    snapshot: Callable[[int, Mapping[str, Tensor]], None] | None = None,
) -> None:
    Trainer(method, data, Settings(**recipe["training"]), out).run(resume=resume, snapshot=snapshot)


def classifier(recipe: Recipe, out: Path, resume: bool) -> None:
    """A classifier of garments."""
    expert = Classifier({"model_type": CLASSIFIER, **recipe["config"], "labels": list(LABELS)})
    method = Classification(expert.network, **recipe["method"])
    _run(recipe, method, LabelledImages(fashion_mnist("train"), shift=2), out, resume)
    expert.freeze().save_pretrained(out / "model")
    _say_accuracy(expert.labels)


def captioner(recipe: Recipe, out: Path, resume: bool) -> None:
    """The captioner: a classifier, and the levels of the attributes in real images."""
    expert = Captioner({"model_type": CAPTIONER, **recipe["config"], "labels": list(LABELS)})
    method = Classification(expert.network, **recipe["method"])
    train = fashion_mnist("train")
    _run(recipe, method, LabelledImages(train, shift=2), out, resume)
    values = torch.cat([measure(part.float() / 255) for part in train.images.split(5000)])
    expert.boundaries.copy_(terciles(values, train.labels, len(LABELS)))
    expert.freeze().save_pretrained(out / "model")
    _say_accuracy(lambda images: expert.see(images)[0])


def biggan(recipe: Recipe, out: Path, resume: bool) -> None:
    """The generator: every checkpoint is compared with validation images, and the best one is kept."""
    config = PlainConfig.from_dict(recipe["config"])
    generator, discriminator = Generator(config), Discriminator(config)
    for layer in [*generator.modules(), *discriminator.modules()]:
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.orthogonal_(layer.weight)
    method = ConditionalGAN(generator, discriminator, **recipe["method"])
    choice = _Best(config, out, load_expert("captioner-fashion"), resume)
    _run(recipe, method, LabelledImages(fashion_mnist("train")), out, resume, choice)


#: Distances within so much of each other are not told apart: 5,000 samples give no better estimate.
SAME = 1.05


class _Best:
    """Keeps the snapshot whose samples lie closest to validation images, in the captioner's features.

    Of snapshots that are equally close, the latest: its average runs over the most careful steps.
    """

    def __init__(self, config: PlainConfig, out: Path, eye: Expert, resume: bool) -> None:
        assert isinstance(eye, Captioner)
        self.config, self.out, self.eye = config, out, eye
        self.real = self._features(fashion_mnist("validation").images.float() / 255)
        # Beside the model, so that a resumed run does not take a worse snapshot for the best one.
        self.record = out / "best.json"
        known = resume and self.record.exists()
        self.best = float(json.loads(self.record.read_text(encoding="utf-8"))) if known else float("inf")

    def __call__(self, step: int, weights: Mapping[str, Tensor]) -> None:
        network = Generator(self.config)
        network.load_state_dict(weights)
        recompute_statistics(network, generator_for(0, "standing"))
        expert = BigGAN(self.config.to_dict(), network)
        latent = expert.draw("latent", 5000, generator=generator_for(0, "validation"))
        distance = frechet_distance(self.real, self._features(expert.decode(latent, "latent")))
        better = distance <= SAME * self.best
        click.echo(f"step {step}: Frechet distance to validation {distance:.3f}{' (best)' if better else ''}", err=True)
        expert.half().save_pretrained(self.out / f"step-{step}")
        if better:
            self.best = min(distance, self.best)
            expert.save_pretrained(self.out / "model")
            self.record.write_text(json.dumps(self.best), encoding="utf-8")

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        return torch.cat([self.eye.network.features(images[i : i + 1000]) for i in range(0, len(images), 1000)])


def reader(recipe: Recipe, out: Path, resume: bool) -> None:
    """The reader: the captioner's eye, and an understanding of captions learnt from real images."""
    eye, encoder = load_expert("captioner-fashion"), load_expert("bert")
    assert isinstance(eye, Captioner)
    torch.manual_seed(recipe["training"]["seed"])
    critic = Reader.for_captioner(eye, text_size=int(encoder.port("pooled").shape[0]))
    images = fashion_mnist("train").images[:20000].float() / 255
    data = Captions(encoder, eye, images, recipe["data"]["captions"], recipe["training"]["seed"])
    _run(recipe, Reading(critic, **recipe["method"]), data, out, resume)
    critic.freeze().save_pretrained(out / "model")


def _say_accuracy(labels: Callable[[Tensor], Tensor]) -> None:
    test = fashion_mnist("test")
    with torch.no_grad():
        right = torch.cat([labels(part.float() / 255) for part in test.images.split(1000)]) == test.labels
    click.echo(f"accuracy on the test images: {right.float().mean():.4f}", err=True)


KINDS = {"classifier": classifier, "captioner": captioner, "biggan": biggan, "reader": reader}

if __name__ == "__main__":
    main()
