"""The two networks and the settings that a recipe begins with."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from dragoman.endpoint import load_expert
from dragoman.errors import InputError
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig, channels_for
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.generator import Generator
from dragoman_stylegan2.published import Published, auto, published
from dragoman_vision_aided.recipe import GANRecipe, ModelTable

__all__ = ["Start", "start_of"]

#: Small networks, for pictures of 32 pixels on a CPU.
_MINI = Published(32, 0.0025, 0.05, 8.0, mapping_layers=2)
_MINI_WIDTH, _MINI_BASE, _AUTO_BATCH = 64, 256, 32


@dataclass(frozen=True)
class Start:
    """What training begins with.

    Attributes:
        generator: copy of a loaded one, or new.
        discriminator: the same.
        published: settings that hold where the recipe says nothing.
        base: address of the loaded StyleGAN2, or ``""``.
    """

    generator: Generator
    discriminator: Discriminator
    published: Published
    base: str


def start_of(recipe: GANRecipe, num_classes: int) -> Start:
    """Networks with the weights of the recipe's base, or with new ones that follow from its seed.

    Args:
        recipe: the recipe.
        num_classes: classes of the data, 0 for unconditional networks.

    Raises:
        InputError: the base makes other images than the recipe says, or a configuration has no such name.
        PackageError: a configuration cannot have such a resolution.
    """
    model = recipe.model
    settings = _settings(model, recipe.training.batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        if model.base:
            return _loaded(model, num_classes, settings)
        made, judged = _configs(model, num_classes, settings)
        judged = replace(judged, channels=model.discriminator or judged.channels)
        return Start(Generator(made), Discriminator(judged), settings, "")


def _settings(model: ModelTable, batch_size: int) -> Published:
    if model.configuration == "mini":
        return _MINI
    if model.configuration == "auto":
        return auto(model.resolution, batch_size or _AUTO_BATCH)
    return published(model.configuration)


def _configs(model: ModelTable, num_classes: int, settings: Published) -> tuple[GeneratorConfig, DiscriminatorConfig]:
    size, channels = model.resolution, model.image_channels
    if model.configuration != "mini":
        return (
            settings.generator(size, image_channels=channels, num_classes=num_classes),
            settings.discriminator(size, image_channels=channels, num_classes=num_classes),
        )
    widths, width = channels_for(size, _MINI_BASE, _MINI_WIDTH), _MINI_WIDTH
    layers = settings.mapping_layers
    return (
        GeneratorConfig(size, widths, channels, num_classes, layers, z_dim=width, w_dim=width),
        DiscriminatorConfig(size, widths, channels, num_classes, layers, cmap_dim=width),
    )


def _loaded(model: ModelTable, num_classes: int, settings: Published) -> Start:
    expert = load_expert("stylegan2", model.base)
    assert isinstance(expert, StyleGAN2)
    generator = copy.deepcopy(expert.generator)
    config = generator.config
    found = {"resolution": config.resolution, "image_channels": config.image_channels, "classes": config.num_classes}
    wanted = {"resolution": model.resolution, "image_channels": model.image_channels, "classes": num_classes}
    for name, value in found.items():
        if value != wanted[name]:
            raise InputError(f"{model.base} has {name} {value}, but the recipe and its data have {wanted[name]}.")
    judge = copy.deepcopy(expert.discriminator)
    if judge is None:
        common = (config.resolution, config.channels, config.image_channels, config.num_classes)
        judge = Discriminator(DiscriminatorConfig(*common, cmap_dim=config.channels[0]))
    return Start(generator.requires_grad_(True), judge.requires_grad_(True), settings, model.base)
