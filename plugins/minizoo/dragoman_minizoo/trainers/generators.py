"""The generators: BigGAN and StyleGAN2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dragoman.endpoint import EndpointSpec, load_expert
from dragoman.expert import Expert
from dragoman.training.method import Method
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import CHECKPOINT
from dragoman_biggan.adversarial import ConditionalGAN
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.matching import EnergyMatching
from dragoman_biggan.plain import Discriminator, Generator, PlainConfig
from dragoman_biggan.standing import recompute_statistics
from dragoman_minizoo.data import fashion_mnist
from dragoman_minizoo.images import LabelledImages
from dragoman_minizoo.trainers.choosing import SAMPLES, Choice
from dragoman_minizoo.trainers.running import Recipe, run

__all__ = ["biggan", "stylegan2"]


def biggan(recipe: Recipe, out: Path, resume: bool) -> None:
    """BigGAN, conditional on the class: the adversarial game into ``OUT/game``, then ``matching`` of what it left."""
    config = PlainConfig.from_dict(recipe["config"])
    generator, discriminator = Generator(config), Discriminator(config)
    for layer in [*generator.modules(), *discriminator.modules()]:
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.orthogonal_(layer.weight)
    _follow(recipe, ConditionalGAN(generator, discriminator, **recipe["method"]), config, out / "game", resume)
    _match(recipe["matching"], out, resume)


def _match(recipe: Recipe, out: Path, resume: bool) -> None:
    """Go on from ``OUT/game/model`` by the distance between generated and real images."""
    expert = load_expert("biggan", str(out / "game" / "model"))
    assert isinstance(expert, BigGAN)
    assert isinstance(expert.network, Generator)
    network = expert.network.requires_grad_(True).train()
    specs = {text: EndpointSpec.parse(text) for text in recipe["eyes"]}
    eyes = {text: (load_expert(spec.expert, spec.address), spec.port) for text, spec in specs.items()}
    method = EnergyMatching(network, eyes, **recipe["method"])
    _follow(recipe, method, network.config, out, resume)


def _follow(recipe: Recipe, method: Method, config: PlainConfig, out: Path, resume: bool) -> None:
    """Train a BigGAN; a run that had not begun when another was interrupted begins now."""

    def sample(weights: Mapping[str, Tensor]) -> tuple[Expert, Tensor]:
        network = Generator(config)
        network.load_state_dict(weights)
        recompute_statistics(network, generator_for(0, "standing"))
        expert = BigGAN(config.to_dict(), network)
        latent = expert.draw("latent", SAMPLES, generator=generator_for(0, "validation"))
        return expert, expert.decode(latent, "latent")

    resume = resume and (out / CHECKPOINT).exists()
    choice = Choice(sample, out, load_expert("captioner-fashion"), resume)
    run(recipe, method, LabelledImages(fashion_mnist("train")), out, resume, choice)


def stylegan2(recipe: Recipe, out: Path, resume: bool) -> None:
    """StyleGAN2, conditional on the class, with its discriminator."""
    # In here, so that the other recipes do without the plugin.
    from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
    from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
    from dragoman_stylegan2.discriminator import Discriminator
    from dragoman_stylegan2.expert import StyleGAN2
    from dragoman_stylegan2.generator import Generator

    common = recipe["config"]
    config = GeneratorConfig.from_dict({**common, **recipe["generator"]})
    generator = Generator(config)
    discriminator = Discriminator(DiscriminatorConfig.from_dict({**common, **recipe["discriminator"]}))

    def sample(weights: Mapping[str, Tensor]) -> tuple[Expert, Tensor]:
        network = Generator(config)
        network.load_state_dict(weights)
        expert = StyleGAN2.from_networks(network, discriminator)
        styles = expert.draw("w", SAMPLES, generator=generator_for(0, "validation"))
        return expert, torch.cat([expert.decode(part, "w") for part in styles.split(500)])

    method = AdversarialStyleGAN2(generator, discriminator, **recipe["method"])
    choice = Choice(sample, out, load_expert("captioner-fashion"), resume)
    run(recipe, method, LabelledImages(fashion_mnist("train")), out, resume, choice)
